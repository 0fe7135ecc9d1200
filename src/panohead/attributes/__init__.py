"""Named attributes of a head (age, hair, light, expression, ...) as numbers, and the network that maps them to w."""

from panohead.attributes.encoder import AttributeEncoder, AttributeEncoderConfig
from panohead.attributes.vocabulary import Vocabulary

__all__ = ["AttributeEncoder", "AttributeEncoderConfig", "Vocabulary"]
