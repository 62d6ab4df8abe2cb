"""The pages that list presets and lessons: for students, and for instructors with links and file errors."""

from typing import Any

from components.guide.instructor_page import instructor_layout
from components.guide.lessons_page import lessons_layout
from utils.teaching.lessons import LessonSet
from utils.teaching.prepared_presets import PreparedPresets


class InstructorPage:
    """Makes both pages; they have no callbacks of their own.

    Args:
        presets: the presets, prepared or being prepared.
        lessons: the lessons.
    """

    def __init__(self, presets: PreparedPresets, lessons: LessonSet) -> None:
        self.presets = presets
        self.lessons = lessons

    def layout(self, query: str) -> Any:
        """The instructor's page, as things stand now."""
        presets = self.presets.presets
        pairs = [
            (preset.key, model)
            for preset in presets.presets
            for model in self.presets.models
            if not preset.model or model in preset.model
        ]
        ready = sum(self.presets.is_ready(*pair) for pair in pairs)
        problems = [
            *presets.problems,
            *self.lessons.problems,
            *self.presets.problems,
            *presets.notes,
            *self.lessons.notes,
        ]
        state = f"{ready} of {len(pairs)} presets (each on its models) are computed and open at once."
        return instructor_layout(presets.presets, self.lessons.lessons, problems, state)

    def lessons_layout(self, query: str) -> Any:
        """The students' list of lessons."""
        return lessons_layout(self.lessons.lessons)
