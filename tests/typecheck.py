"""The run-time type checker of the tests: beartype, with the rule of PEP 484 that an int is a float."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
