chronyd -x
