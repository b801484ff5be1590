"""What things are made of: how that looks, sounds, weighs and throws back a laser's light."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """`specular`: strength of the highlight, `shininess`: its exponent; `mirror`: the share of the
    surroundings in the colour; `through`: of what is behind; `grain`: the depth of the surface's
    own texture, of kind `grain_kind`.

    `speed`: pitch of a body of one metre, in Hz; `loss`: what a mode loses per second, and
    `loss_by_pitch` in addition per Hz; `softness_s`: how long a contact lasts, in seconds.

    `density` in kg/m³; `hardness` on a scale of 0 to 10; `echo`: the share of a laser's light that
    comes back; `lost`: the share of returns that do not.
    """

    specular: float
    shininess: float
    mirror: float
    through: float
    grain: float
    grain_kind: str
    speed: float
    loss: float
    loss_by_pitch: float
    softness_s: float
    density: float
    hardness: float
    echo: float
    lost: float


MATERIALS = {
    "ceramic": Material(
        specular=0.55,
        shininess=40,
        mirror=0.08,
        through=0,
        grain=0,
        grain_kind="none",
        speed=1150,
        loss=12,
        loss_by_pitch=0.012,
        softness_s=0.0006,
        density=2300,
        hardness=7.0,
        echo=0.75,
        lost=0.02,
    ),
    "glass": Material(
        specular=0.8,
        shininess=90,
        mirror=0.12,
        through=0.35,
        grain=0,
        grain_kind="none",
        speed=1300,
        loss=7,
        loss_by_pitch=0.005,
        softness_s=0.0003,
        density=2500,
        hardness=5.5,
        echo=0.3,
        lost=0.6,
    ),
    "metal": Material(
        specular=0.9,
        shininess=24,
        mirror=0.55,
        through=0,
        grain=0.05,
        grain_kind="brushed",
        speed=1400,
        loss=2.5,
        loss_by_pitch=0.0006,
        softness_s=0.0004,
        density=7800,
        hardness=4.5,
        echo=0.95,
        lost=0.1,
    ),
    "plastic": Material(
        specular=0.3,
        shininess=14,
        mirror=0.02,
        through=0,
        grain=0,
        grain_kind="none",
        speed=620,
        loss=32,
        loss_by_pitch=0.02,
        softness_s=0.0012,
        density=1000,
        hardness=2.5,
        echo=0.6,
        lost=0.03,
    ),
    "rubber": Material(
        specular=0.06,
        shininess=4,
        mirror=0,
        through=0,
        grain=0.08,
        grain_kind="speckle",
        speed=170,
        loss=45,
        loss_by_pitch=0.07,
        softness_s=0.006,
        density=1400,
        hardness=1.0,
        echo=0.12,
        lost=0.12,
    ),
    "stone": Material(
        specular=0.03,
        shininess=4,
        mirror=0,
        through=0,
        grain=0.4,
        grain_kind="speckle",
        speed=1050,
        loss=55,
        loss_by_pitch=0.03,
        softness_s=0.0008,
        density=2700,
        hardness=6.5,
        echo=0.4,
        lost=0.03,
    ),
    "wood": Material(
        specular=0.1,
        shininess=8,
        mirror=0,
        through=0,
        grain=0.35,
        grain_kind="rings",
        speed=560,
        loss=22,
        loss_by_pitch=0.035,
        softness_s=0.002,
        density=650,
        hardness=3.0,
        echo=0.5,
        lost=0.02,
    ),
}
