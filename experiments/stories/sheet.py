"""The first shots of a film, what is said in them, and the sentence that tells each."""

from pathlib import Path

from experiments import study
from visionlab.data.stories.stories import tell_stories
from visionlab.figures import captions, charts

SHOTS = 8


def draw_sheet(path: Path) -> None:
  """Of the first film of the test split; in brackets the form of the sentence, see
  `visionlab.data.stories.telling`."""
  story, = tell_stories('test', 1)
  cards = []
  for i, (still, said, j) in enumerate(zip(story.shots, story.subtitles, story.sentence.tolist(),
                                           strict=True)):
    told = (f'{j}: {story.sentences[j]} ({story.form[j]})' if j >= 0 else 'no sentence tells it')
    cards.append(captions.Card(still, (), (told,), note=f'{i}: "{said}"' if said else f'{i}:'))
  charts.save(captions.sheet(cards[:SHOTS], 'A film, and the sentences of its book'), path)
  study.picture(path, path)
