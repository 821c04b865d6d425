"""`pump bundle`: an archive for whoever helps, with nothing in it that is secret or personal."""
