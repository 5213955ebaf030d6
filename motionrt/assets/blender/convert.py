"""Turn .glb into .fbx, or .fbx into .glb. Blender runs it; motionrt only starts Blender.

    blender -b --factory-startup --python-exit-code 1 -P convert.py -- walk.glb walk.fbx 30

The last word is the frame rate of a .glb; a .fbx says its own. It works as well without motionrt:
it is one file that needs nothing but Blender 3.3 or newer.
"""

import sys

import bpy
import numpy

if not hasattr(numpy, "bool"):
    numpy.bool = bool  # Blender 3's own importer asks for it, which numpy 1.24 has no more


def last_frame():
    """Return the end of all actions."""
    return max((action.frame_range[1] for action in bpy.data.actions), default=0)


def to_fbx(source, target, fps):
    """Write what is in a .glb, its first animation baked frame by frame, in metres."""
    render = bpy.context.scene.render
    render.fps = max(1, round(fps))
    render.fps_base = render.fps / fps  # before importing: keys come at frames of the scene
    bpy.ops.import_scene.gltf(filepath=source)
    bpy.context.scene.frame_start = 0
    bpy.context.scene.frame_end = max(0, round(last_frame()))
    bpy.ops.export_scene.fbx(
        filepath=target,
        object_types={"ARMATURE", "MESH", "EMPTY"},
        apply_scale_options="FBX_SCALE_ALL",
        add_leaf_bones=False,
        bake_anim=bool(bpy.data.actions),
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=False,
        bake_anim_simplify_factor=0.0,
        path_mode="COPY",
        embed_textures=True,
    )


def to_glb(source, target):
    """Write what is in a .fbx, every action an animation."""
    bpy.ops.import_scene.fbx(filepath=source, automatic_bone_orientation=False)
    scene = bpy.context.scene
    scene.frame_end = max(scene.frame_start, round(last_frame()))
    bpy.ops.export_scene.gltf(
        filepath=target,
        export_format="GLB",
        export_animations=True,
        export_frame_range=False,
        export_force_sampling=True,
        export_optimize_animation_size=False,
    )


def main():
    """Convert by the endings of the files that are named behind the two dashes."""
    source, target, fps = sys.argv[sys.argv.index("--") + 1 :][:3]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if target.lower().endswith(".fbx"):
        to_fbx(source, target, float(fps))
    else:
        to_glb(source, target)


main()
