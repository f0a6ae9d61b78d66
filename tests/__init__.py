"""The tests: folders mirror those of chatroom, and what is about all of them is at the top."""
