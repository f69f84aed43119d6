"""Live sources, one module each; a new one is a module with `build(model_config, context)` and a config section."""
