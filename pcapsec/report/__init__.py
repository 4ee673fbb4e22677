"""What people read: the summary on the terminal, and progress while they wait."""
