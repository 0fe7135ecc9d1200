"""Measure a generator against a dataset, without downloading any network.

Run:     python examples/06_evaluate.py OUT DATA [COUNT]
Writes:  OUT/metrics.json, OUT/table.md

DATA is a dataset folder (images/, masks/), for example OUT/people of 05_train_tiny.py. COUNT (default 64) images are
generated; 2000 and more give numbers worth comparing. FID, KID and identity need weights: see docs/evaluation.md.
"""

import sys
from pathlib import Path

from panohead import load
from panohead.evaluation import Evaluation, EvaluationSettings, write_report

out, data = Path(sys.argv[1]), Path(sys.argv[2])
count = int(sys.argv[3]) if len(sys.argv) > 3 else 64
out.mkdir(parents=True, exist_ok=True)

# swd: sliced Wasserstein distance of image patches, lower is better. mask, consistency and back are of single heads.
settings = EvaluationSettings(metrics=("swd", "mask", "consistency", "back"), subsets=("all",), num=count, heads=2)
evaluation = Evaluation(settings, data)
columns = evaluation.run({"demo": load("demo")})  # several generators give several columns; the last is the data itself

for column in columns:
    for result in column.results:
        print(f"{column.name:8} {' '.join(result.row):42} {result.value:.4g} ({result.better} is better)")
    for skipped in column.skipped:
        print(f"{column.name:8} {skipped.metric}: not measured, {skipped.reason}")
metrics, table = write_report(out, evaluation.settings, columns, evaluation.about)
print(f"wrote {metrics} and {table}")
