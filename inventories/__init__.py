"""Where targets come from: each module reads one kind of source into a `scanner.Inventory`."""
