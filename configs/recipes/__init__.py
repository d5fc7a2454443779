"""What several experiments share: our recipes, the references', and pieces of both."""
