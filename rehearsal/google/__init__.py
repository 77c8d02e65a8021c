"""Google Cloud on one machine: the REST APIs the program, its handlers and its users call."""
