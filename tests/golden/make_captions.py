"""Makes captions.json: sentences, how coco-caption measures them, and how it tokenises.

python tests/golden/make_captions.py

Needs pycocoevalcap (1.2 was used) and Java; the tests read only the file.
"""

import json
from pathlib import Path

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

SUBJECTS = ('a dog', 'two dogs', 'the small boy', 'a man in a red hat', 'people',
            'a woman with a ball')
VERBS = ('runs', 'is running', 'sits', 'jumps up and down', 'plays', 'sleeps')
PLACES = ('on the grass', 'in a park', 'by the water', 'near a red car', 'on the beach in the sun')

TEXTS = (
    'A man\'s dog isn\'t here.', 'He said: "hi -- there"; don\'t stop!', 'I cannot see it...',
    'The U.S. team won at 10:30 , 1,000 fans and 50% off', 'a t-shirt/jacket , number #1',
    'A café, a naïve "artist"?', "it's they're we'll I'd they've", 'Two CATS , a dog .',
    'the kids \' toys', 'a not-so-big dog', "five o'clock shadow", 'salt & pepper', 'a  b\tc',
    'The price is $5.00 - cheap', 'a merry-go-round; tri-colored')


def sentence(rng):
  return ' '.join(rng.choice(part) for part in (SUBJECTS, VERBS, PLACES))


def spoilt(rng, text):
  """The sentence with words left out, doubled or replaced."""
  words = []
  for word in text.split():
    kind = rng.choice(4, p=(.7, .1, .1, .1))
    words += ([word], [], [word, word], ['something'])[kind]
  return ' '.join(words)


def corpus(rng):
  references = [[sentence(rng) for _ in range(rng.integers(1, 6))] for _ in range(20)]
  candidates = [spoilt(rng, rng.choice(refs)) for refs in references]
  candidates[:6] = ['', 'dog', references[2][0], 'the the the the the the the the the the the the',
                    'xylophone quartet', f'{references[5][0]} {references[5][0]}']
  references[6][0] = 'boy'
  return candidates, references


def measured(candidates, references):
  given, said = dict(enumerate(references)), {i: [c] for i, c in enumerate(candidates)}
  bleu, bleu_each = Bleu(4).compute_score(given, said, verbose=0)
  rouge, rouge_each = Rouge().compute_score(given, said)
  cider, cider_each = Cider().compute_score(given, said)
  return dict(
      candidates=candidates, references=references,
      bleu=dict(corpus=bleu, each=np.transpose(bleu_each).tolist()),
      rouge_l=dict(corpus=float(rouge), each=rouge_each.tolist()),
      cider_d=dict(corpus=float(cider), each=cider_each.tolist()))


def main():
  rng = np.random.default_rng(0)
  candidates, references = corpus(rng)
  tokens = PTBTokenizer().tokenize({i: [{'caption': text}] for i, text in enumerate(TEXTS)})
  golden = dict(corpora=[measured(candidates, references), measured(candidates[7:8],
                                                                    references[7:8])],
                texts=[[text, tokens[i][0]] for i, text in enumerate(TEXTS)])
  path = Path(__file__).parent / 'captions.json'
  path.write_text(json.dumps(golden, ensure_ascii=False, separators=(',', ':')) + '\n',
                  encoding='utf8')


if __name__ == '__main__':
  main()
