"""The canonical face: the mean positions of MediaPipe's 468 face landmarks.

Centimeters; x to the right as the viewer sees a frontal face, y up, z out of the face. The coordinates are those of
``canonical_face_model.obj`` of MediaPipe (Copyright 2020 The MediaPipe Authors, Apache-2.0), rounded to 0.1 mm. The
model is symmetric: stored are the 248 points of the middle and of the face's right half (the viewer's left).
"""

import numpy as np
from jaxtyping import Float, Int

_HALF_TENTHS_MM = """
0 -341 598, 0 -113 748, 0 -209 606, -46 96 663, 0 -46 759, 0 37 724, 0 247 579, -425 258 328, 0 402 528, 0 489 539,
0 826 448, 0 -371 586, 0 -392 557, 0 -399 522, 0 -454 540, 0 -475 553, 0 -502 560, 0 -537 554, 0 -615 507, 0 -150 711,
-42 -147 645, -709 543 10, -263 204 385, -320 199 380, -378 204 365, -447 242 316, -216 219 385, -321 322 412,
-267 321 409, -375 317 397, -416 306 372, -506 193 278, -227 -743 439, -445 266 317, -721 226 7, -580 235 220,
-284 -72 443, -71 -333 588, -61 -392 544, -143 -350 550, -191 -380 503, -113 -397 519, -156 -408 484, -265 -500 419,
-43 -109 736, -50 -48 744, -525 388 336, -172 97 456, -161 -94 581, -165 -61 558, -477 -70 353, -48 30 710,
-373 451 455, -459 430 405, -628 662 143, -122 414 511, -219 310 400, -310 -435 410, -672 -479 -175, -119 -131 574,
-73 -159 583, -246 -434 428, -220 -430 416, -499 480 375, -159 -126 546, -264 452 492, -276 510 502, -352 801 373,
-560 572 272, -306 657 453, -572 425 283, -637 479 159, -67 -369 574, -126 -379 542, -173 -395 500, -104 -146 566,
-232 -433 426, -206 -448 452, -215 -428 404, -95 -104 651, -147 -404 460, -102 -399 493, -53 -399 514, -77 -610 499,
-70 -529 545, -67 -495 551, -63 -470 545, -58 -452 534, -154 -442 475, -162 -448 481, -173 -462 485, -184 -483 482,
-237 -311 487, -754 -105 -243, 0 -172 660, -183 -440 440, -193 -441 450, -60 -201 587, -141 -171 524, -66 -182 586,
-234 57 429, -333 10 411, -173 -92 527, -513 749 266, -454 632 368, -399 511 447, -217 -544 446, -140 501 532,
-162 660 492, -189 824 427, -420 224 338, -573 141 243, -186 236 384, -499 307 308, -130 142 483, -131 -67 642,
-647 94 169, -526 95 297, -443 72 352, -330 86 387, -243 113 404, -182 147 422, -56 231 557, -634 -53 188,
-559 321 269, -24 -146 707, -161 34 490, -774 236 -201, -139 185 445, -179 -98 485, -467 266 308, -133 -28 610,
-727 -289 -225, -186 259 376, -92 7 667, -500 -614 189, -509 -718 71, -716 -81 -7, -584 -525 92, -685 366 72,
-241 -826 412, -18 -169 657, -210 -16 457, -641 224 156, -367 236 364, -318 229 378, -220 -460 448, -623 -194 166,
-129 -930 409, -321 -853 280, -407 -799 193, 0 655 503, 0 -940 426, -272 232 378, -229 240 370, -200 250 369,
-613 340 204, -229 289 378, -272 296 387, -318 296 388, -367 293 372, -402 286 348, -756 411 -99, -402 248 344,
0 -252 593, -178 -268 521, -122 -118 595, -73 -254 582, 0 327 524, -414 -700 267, -331 -766 338, -131 -864 470,
-594 -622 -63, -200 274 374, -90 124 575, 0 -877 489, -231 -897 361, -695 -244 -13, -110 -446 512, -118 -458 519,
-126 -479 524, -133 -511 521, -155 -582 476, -195 -418 443, -212 -414 456, -229 -405 458, -285 -367 448,
-528 -224 286, -95 191 520, -131 310 423, -178 286 388, -185 -410 425, -544 -403 211, -77 318 486, -194 -661 452,
0 106 677, -52 158 615, 0 173 632, -125 23 568, 0 -794 518, 0 -699 515, -100 -693 498, -329 -538 380, -231 -157 459,
-268 -611 410, -383 -154 414, -296 -227 444, -439 -268 364, -122 -783 497, -154 -14 520, -388 -604 331, -308 -681 381,
-375 -450 373, -609 -321 147, -459 -473 298, -658 -394 7, -349 -320 413, -126 80 531, -113 -93 654, -144 -114 591,
-92 -53 700, -176 353 433, -263 371 436, -339 372 431, -408 368 408, -462 347 365, -517 254 267, -730 76 -5,
-471 165 311, -407 148 348, -327 147 373, -253 162 387, -197 186 396, -158 210 408, -766 67 -244, -140 -134 563,
-88 66 623, -77 -97 708, -46 -133 679, -75 -107 680, -124 -159 548, -39 -141 696, -32 -161 651, -164 256 386,
-126 247 420, -103 238 462, -425 277 332, -453 291 334
"""

LANDMARKS = 468
RIGHT_EYE = (33, 160, 158, 133, 153, 144)
"""Contour of the eye at the viewer's left, in the order of points 36 to 41 of the 68-point scheme."""
LEFT_EYE = (362, 385, 387, 263, 373, 380)
"""Contour of the eye at the viewer's right: points 42 to 47 of the 68-point scheme."""
MOUTH_CORNERS = (61, 291)
"""Corners of the mouth: points 48 and 54 of the 68-point scheme."""

_RIGID = {
    4: 0.0709, 6: 0.0321, 10: 0.0084, 33: 0.0587, 54: 0.0077, 67: 0.0091, 117: 0.0098, 119: 0.0146, 121: 0.0186,
    127: 0.0052, 129: 0.1206, 132: 0.0056, 133: 0.0533, 136: 0.0669, 143: 0.0148, 147: 0.0143, 198: 0.0255, 205: 0.0473,
}  # fmt: skip
"""Weights of the landmarks that neither expression nor person moves much, by number; mirrored ones share theirs."""
_OTHERS = 0.3
"""Weight that every landmark has on top, where the mean weight of the others is 1."""


def canonical_face() -> Float[np.ndarray, "468 3"]:
    """Return the canonical face in centimeters (x right, y up, z to the viewer)."""
    # 248 3; hundredths of a centimeter are tenths of a millimeter.
    half = np.array([[int(n) for n in point.split()] for point in _HALF_TENTHS_MM.split(",")]) / 100.0
    # Landmarks off the middle plane follow once more, mirrored, in the same order: 468 3.
    return np.concatenate([half, half[half[:, 0] != 0] * [-1.0, 1.0, 1.0]])


def mirror_order() -> Int[np.ndarray, "468"]:
    """Return for every landmark the number of its mirror image; points of the middle are their own."""
    half = np.array([[int(n) for n in point.split()] for point in _HALF_TENTHS_MM.split(",")])
    sided = np.flatnonzero(half[:, 0] != 0)
    order = np.arange(LANDMARKS)
    order[sided], order[len(half) :] = np.arange(len(half), LANDMARKS), sided
    return order


def rigid_weights() -> Float[np.ndarray, "468"]:
    """Return the weight of each landmark in the fit of the pose: highest for those that expressions move little.

    The weights of the 33 rigid landmarks are those of MediaPipe's own face geometry (``procrustes_landmark_basis``,
    Apache-2.0, rounded), scaled to a mean of 1 over all landmarks; every landmark has 0.3 on top, so that one that is
    wrong cannot turn the face.
    """
    weights, order = np.zeros(LANDMARKS), mirror_order()
    for number, value in _RIGID.items():
        weights[number] = weights[order[number]] = value
    scaled: np.ndarray = weights * LANDMARKS / weights.sum() + _OTHERS
    return scaled
