"""What tests are made with: people, doubles of what they meet, and real connections."""
