"""What an operator looks at: widgets that draw the state they are handed, fetch nothing and decide nothing."""
