"""What fuzz.py is made of: seeds, mutations, and what each run must satisfy."""
