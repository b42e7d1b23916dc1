# The package lists are as old as the cached base: what they say is as if it were fetched now.
sed -i "s/^Date: .*/Date: $(date -u '+%a, %d %b %Y %H:%M:%S UTC')/" /var/lib/apt/lists/*InRelease
