"""Reports of incidents as the program writes them."""
