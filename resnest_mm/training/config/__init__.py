"""Reading a config, changing it by `--cfg-options`, and walking through it."""
