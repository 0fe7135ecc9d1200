"""Contact sheet of people from evenly spaced yaws."""

from PIL import Image

from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.people import sample_person
from panohead.synthetic.person_images import photograph, shared_lighting, shot_heads, shot_renderers, shots_of
from panohead.synthetic.synthesize import require_compiler
from panohead.synthetic.views import PITCH_LIMIT_DEG, PersonView


def preview_rows(config: SyntheticDatasetConfig, people: int) -> tuple[list[list[Image.Image]], list[str], list[str]]:
    """Render one row per shot (new background and pitch per view); return rows, their labels and column labels."""
    require_compiler()
    yaws = [360 * k / config.views for k in range(config.views)]
    rows, labels = [], []
    for index in range(people):
        person = sample_person(config.seed, index)
        light = shared_lighting(config, person)
        heads = shot_heads(person, shots_of(config, person), config.edition)
        renderers = shot_renderers(heads, config.quality, config.edition)
        rng = person.stream("preview")
        for number, renderer in enumerate(renderers):
            row = []
            for k, yaw in enumerate(yaws):
                pitch = min(max(rng.normal() * config.pitch_std_deg, -PITCH_LIMIT_DEG), PITCH_LIMIT_DEG)
                view = PersonView((yaw + 180) % 360 - 180, float(pitch))
                purpose = f"preview {number * len(yaws) + k}"
                size = (config.resolution, config.focal)
                _, pixels, _ = photograph(renderer, person, view, purpose, *size, light)
                row.append(Image.fromarray(pixels))
            rows.append(row)
            worn = [thing for thing in (person.glasses, person.headwear) if thing != "none"]
            labels.append("\n".join([f"{index}: {person.age:.0f}", person.hair_style, *worn]))
    return rows, labels, [f"{yaw:.0f}°" for yaw in yaws]
