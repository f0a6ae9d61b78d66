"""What the doors have in common whose clients send lines."""
