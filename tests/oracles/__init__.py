"""Other programs that judge the same thing, run as programs of their own, and the endpoints they are held against."""
