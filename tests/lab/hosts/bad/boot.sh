mount -o remount,suid,dev,exec /tmp
