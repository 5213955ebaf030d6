"""Print where Blender puts the bones of a .glb at some frames, as one line of JSON.

blender -b --factory-startup --python-exit-code 1 -P pose_glb.py -- FILE FPS FRAME...
"""

import json
import sys

import bpy

file, fps, *frames = sys.argv[sys.argv.index("--") + 1 :]
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.fps = round(float(fps))
bpy.ops.import_scene.gltf(filepath=file)
(armature,) = (thing for thing in bpy.data.objects if thing.type == "ARMATURE")
seen = {"scale": list(armature.scale), "unit": scene.unit_settings.scale_length, "frames": []}
for frame in frames:
    scene.frame_set(int(frame))
    bones = {bone.name: list(armature.matrix_world @ bone.head) for bone in armature.pose.bones}
    seen["frames"].append(bones)
print("seen " + json.dumps(seen))
