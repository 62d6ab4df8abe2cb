"""The parts of presets, lessons and the instructors' page."""
