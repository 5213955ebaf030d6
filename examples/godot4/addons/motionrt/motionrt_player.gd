# Plays prompts on a Skeleton3D whose bones are called as the model's joints: a child of it. A skeleton
# without bones gets the model's. Other humanoids are carried over by Godot's own retargeting of imports
# (BoneMap) from an animation; this node does not.
extends Node
class_name MotionrtPlayer

signal started(prompt)
signal failed(problem)

@export_dir var bundle := "res://addons/motionrt/bin/motionrt-default"
@export_multiline var prompt := "a person walks forward"
@export var seconds := 4.0
# -1 draws one.
@export var motion_seed := -1
@export var loop := true
# What root motion moves; empty: the pose itself travels.
@export var character: Node3D

var motion: MotionrtMotion
var time := 0.0

var _pipeline := MotionrtPipeline.new()
var _thread: Thread
var _opened := ""
@onready var _skeleton: Skeleton3D = get_parent()


func _ready() -> void:
	if prompt:
		play(prompt)


# Generate a motion and play it when it is there; what plays goes on until then.
func play(text: String) -> Error:
	if _thread:
		return ERR_BUSY
	_thread = Thread.new()
	return _thread.start(_generate.bind(text, _folder()))


# The library reads files, not what is in a .pck: an exported game has the bundle beside its executable.
func _folder() -> String:
	if OS.has_feature("editor"):
		return ProjectSettings.globalize_path(bundle)
	return OS.get_executable_path().get_base_dir().path_join(bundle.get_file())


func _generate(text: String, folder: String) -> void:
	var made := MotionrtMotion.new()
	var problem := "" if _opened == folder else _pipeline.open(folder)
	if not problem:
		_opened = folder
		problem = _pipeline.generate(made, text, {"seconds": seconds, "seed": motion_seed})
	_take.call_deferred(text, made, problem)


func _take(text: String, made: MotionrtMotion, problem: String) -> void:
	_thread.wait_to_finish()
	_thread = null
	if problem:
		push_error("motionrt: " + problem)
		failed.emit(problem)
		return
	if _skeleton.get_bone_count() == 0:
		_build(made)
	motion = made
	time = 0.0
	started.emit(text)


func _build(made: MotionrtMotion) -> void:
	var names := made.get_joint_names()
	var parents := made.get_parents()
	var offsets := made.get_rest_offsets()
	for joint in names.size():
		_skeleton.add_bone(names[joint])
		_skeleton.set_bone_parent(joint, parents[joint])
		var offset := Vector3(offsets[3 * joint], offsets[3 * joint + 1], offsets[3 * joint + 2])
		_skeleton.set_bone_rest(joint, Transform3D(Basis(), offset))


func _process(delta: float) -> void:
	if not motion:
		return
	var flags := MotionrtMotion.LOOP if loop else 0
	if character:
		character.transform *= motion.get_root_motion(time, time + delta, flags)
		flags |= MotionrtMotion.IN_PLACE
	time += delta
	var pose := motion.sample(time, flags)
	var names := motion.get_joint_names()
	for joint in names.size():
		var bone := _skeleton.find_bone(names[joint])
		if bone < 0:
			continue
		var at := 3 + 4 * joint
		_skeleton.set_bone_pose_rotation(bone, Quaternion(pose[at], pose[at + 1], pose[at + 2], pose[at + 3]))
		if joint == 0:
			_skeleton.set_bone_pose_position(bone, Vector3(pose[0], pose[1], pose[2]))


func _exit_tree() -> void:
	if _thread:
		_pipeline.cancel()
		_thread.wait_to_finish()
