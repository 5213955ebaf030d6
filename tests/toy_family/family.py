from motionrt.runtime.families import Family
from motionrt.runtime.options import options_of
from toy_family.options import PRESETS, ToyOptions

FAMILY = Family(
    name="toy",
    pipeline="toy_family.pipeline:ToyPipeline",
    motion_graphs=("wave",),
    options=options_of(ToyOptions),
    presets=PRESETS,
)
