"""The pages of a site: each kind is a function from what is known to pages and the files that they show."""
