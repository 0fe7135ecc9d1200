"""What the operating system and the process need: atomic files, memory, threads, standard error."""
