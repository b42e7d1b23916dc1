for _ in $(seq 100); do
    nft list table inet firewalld > /dev/null 2>&1 && break
    sleep 0.05
done
