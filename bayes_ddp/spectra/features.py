"""Names that astronomers use for stretches of an optical stellar spectrum.

Ranges are vacuum Å at rest, in the order in which a pixel is looked for: narrow features stand
before the bands that contain them.
"""

import numpy as np

__all__ = ["FEATURES", "window_names"]

Ranges = tuple[tuple[float, float], ...]

FEATURES: tuple[tuple[str, Ranges], ...] = (
    ("Mg I 3830", ((3825.0, 3842.0),)),
    ("CN 3883", ((3842.0, 3898.0),)),
    ("Si I 3907", ((3903.0, 3911.0),)),
    ("Ca II K", ((3922.0, 3942.0),)),
    ("Al I 3945, 3963", ((3942.0, 3950.0), (3960.0, 3964.0))),
    ("Ca II H, H epsilon", ((3964.0, 3985.0),)),
    ("Mn I 4032", ((4028.0, 4038.0),)),
    ("Fe I 4046-4073", ((4043.0, 4076.0),)),
    ("H delta", ((4090.0, 4115.0),)),
    ("CN 4215", ((4140.0, 4220.0),)),
    ("Ca I 4228", ((4223.0, 4233.0),)),
    ("Cr I 4255-4291", ((4252.0, 4258.0), (4272.0, 4278.0))),
    ("CH G band", ((4278.0, 4330.0),)),
    ("H gamma", ((4330.0, 4354.0),)),
    ("Fe I 4385", ((4380.0, 4390.0),)),
    ("Fe I 4405", ((4400.0, 4420.0),)),
    ("Mn I 4452-4473", ((4447.0, 4476.0),)),
    ("Ti 4534", ((4525.0, 4545.0),)),
    ("Ti II 4550-4573", ((4545.0, 4575.0),)),
    ("C2 4737", ((4670.0, 4742.0),)),
    ("Mn I 4755-4785", ((4752.0, 4787.0),)),
    ("H beta", ((4848.0, 4878.0),)),
    ("Fe I 4892-4925", ((4886.0, 4928.0),)),
    ("Fe I 4959", ((4955.0, 4962.0),)),
    ("Ti I 4983-5017", ((4978.0, 5018.0),)),
    ("C2, MgH 5100-5165", ((5090.0, 5165.0),)),
    ("Mg b", ((5165.0, 5190.0),)),
    ("Cr I 5206", ((5203.0, 5212.0),)),
    ("Fe I 5271", ((5262.0, 5287.0),)),
    ("Fe I 5329", ((5320.0, 5345.0),)),
    ("Fe I 5372-5455", ((5366.0, 5460.0),)),
    ("Ni I 5478", ((5474.0, 5482.0),)),
    ("Mg I 5530", ((5525.0, 5535.0),)),
    ("Ca I 5590-5605", ((5584.0, 5608.0),)),
    ("Mg I 5713", ((5709.0, 5717.0),)),
    ("Ca I 6104-6164", ((6100.0, 6126.0), (6160.0, 6173.0))),
    ("Mn I 6015-6024", ((6011.0, 6026.0),)),
    ("Fe I 6138", ((6134.0, 6142.0),)),
    ("Si II 6349, 6373", ((6345.0, 6353.0), (6369.0, 6377.0))),
    ("Ca I 6440-6500", ((6436.0, 6503.0),)),
    ("H alpha", ((6548.0, 6582.0),)),
    ("Al I 6700", ((6695.0, 6703.0),)),
    ("TiO 7054", ((7050.0, 7160.0),)),
    ("Si I 7408-7426", ((7404.0, 7428.0),)),
    ("O I 7774", ((7768.0, 7782.0),)),
    ("Al I 7838", ((7833.0, 7841.0),)),
    ("CN 7850-8100", ((7850.0, 8100.0),)),
    ("O I 8449", ((8444.0, 8453.0),)),
    ("Ca II triplet", ((8485.0, 8515.0), (8529.0, 8560.0), (8649.0, 8680.0))),
    ("Fe I 8691", ((8684.0, 8696.0),)),
    ("Al I 8775", ((8771.0, 8779.0),)),
    ("Mg I 8809", ((8803.0, 8815.0),)),
)


def window_names(wave: np.ndarray, *, width: float = 25.0) -> list[str]:
    """[pixel], the feature that contains each wavelength, or the stretch of ``width`` Å it is in.

    wave : [pixel], vacuum Å at rest.

    >>> window_names(np.array([5170.0, 8660.0, 6010.0]))
    ['Mg b', 'Ca II triplet', '6000-6025']
    """
    first = width * np.floor(np.asarray(wave) / width)
    names = np.array([f"{a:.0f}-{a + width:.0f}" for a in first], object)
    taken = np.zeros(len(names), bool)
    for name, ranges in FEATURES:
        for low, high in ranges:
            inside = (wave >= low) & (wave < high) & ~taken
            names[inside] = name
            taken |= inside
    return list(names)
