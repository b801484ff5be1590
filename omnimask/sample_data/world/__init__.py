"""One generated world, seen by six senses, with every factor known.

`factors.draw_scene(seed, number)` draws a scene from named, independent factors; `stage.build` puts
it up; one file per sense observes it and writes a file; `generate.generate` does so for many.
"""
