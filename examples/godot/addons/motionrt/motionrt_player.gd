# Plays prompts on a Skeleton: a child of it, or with `skeleton` set to it.
#
# play("a person waves") generates in a thread; what plays goes on until the new motion is there, and
# is blended into it. Bones are found by their names (Mixamo's, Unreal's, Godot's and Unity's humanoids,
# SMPL-X); name others in `bone_map`. A Skeleton without bones gets those of the model.
extends Node
class_name MotionrtPlayer

signal started(prompt)
signal failed(problem)

const LOOP = 1
const IN_PLACE = 2

# The bundle's folder: inside the project, or anywhere on disk.
export(String) var bundle = "res://addons/motionrt/bin/motionrt-default"
export(String, MULTILINE) var prompt = "a person walks forward"
export(float) var seconds = 4.0
# -1 draws one.
export(int) var motion_seed = -1
export(NodePath) var skeleton = NodePath("..")
# What root motion moves, a KinematicBody or any Spatial above the skeleton. Empty: the pose itself
# travels, from where the motion begins.
export(NodePath) var character = NodePath("")
export(bool) var loop = true
export(float) var blend_seconds = 0.25
# The model's joints by name -> the skeleton's bones by name, where they are not found.
export(Dictionary) var bone_map = {}

var motion # the MotionrtMotion that plays, or null
var time = 0.0
var last_motion
var last_time = 0.0

var _pipeline = preload("motionrt_pipeline.gdns").new()
var _new_motion = preload("motionrt_motion.gdns")
var _thread = Thread.new()
var _coming # the motion that is being made
var _problem = ""
var _opened = ""
var _target # a MotionrtRetarget
var _is_bound = false

onready var _skeleton = get_node(skeleton)


func _ready():
	if prompt:
		play(prompt)


# Generate a motion and play it when it is there. options: see MotionrtPipeline.generate().
func play(text, options = {}):
	if _thread.is_active():
		return ERR_BUSY
	var given = {"seconds": seconds, "seed": motion_seed}
	for name in options:
		given[name] = options[name]
	_coming = _new_motion.new()
	return _thread.start(self, "_generate", [text, given])


func is_generating():
	return _thread.is_active()


# From 0 to 1, of the motion that is being made.
func get_progress():
	return _pipeline.get_progress()


func _generate(given):
	_problem = ""
	if _opened != bundle:
		_problem = _open()
	if not _problem:
		_problem = _pipeline.generate(_coming, given[0], given[1])
	call_deferred("_take", given[0])


# Files inside a project may lie in a .pck, where only Godot can read them.
func _open():
	_opened = ""
	var problem
	if bundle.begins_with("res://") or bundle.begins_with("user://"):
		var files = {}
		var folder = Directory.new()
		if folder.open(bundle) != OK:
			return "there is no folder " + bundle
		folder.list_dir_begin(true, true)
		var name = folder.get_next()
		while name:
			var file = File.new()
			if not folder.current_is_dir() and file.open(bundle.plus_file(name), File.READ) == OK:
				files[name] = file.get_buffer(file.get_len())
			name = folder.get_next()
		problem = _pipeline.open_files(files)
	else:
		problem = _pipeline.open(bundle)
	if not problem:
		_opened = bundle
		_is_bound = false # another model may have another skeleton
	return problem


func _take(text):
	_thread.wait_to_finish()
	if not _problem and not _is_bound:
		var frame = get_node(character) if character else _skeleton.get_parent()
		var target = preload("motionrt_retarget.gd").new()
		_problem = target.bind(_skeleton, frame, _coming, bone_map)
		motion = null
		if not _problem:
			_target = target
			_is_bound = true
	if _problem:
		push_error("motionrt: " + _problem)
		emit_signal("failed", _problem)
		return
	last_motion = motion
	last_time = time
	motion = _coming
	time = 0.0
	advance(0.0)
	emit_signal("started", text)


func _process(delta):
	if motion:
		advance(delta)


# Play on by some seconds, as every frame does.
func advance(delta):
	var flags = LOOP if loop else 0
	var mover = get_node(character) if character else null
	if mover:
		var way = motion.get_root_motion(time, time + delta, flags)
		way.origin *= _target.ground_scale()
		mover.transform = mover.transform.orthonormalized() * way
		flags |= IN_PLACE
	time += delta
	last_time += delta
	var pose = motion.sample(time, flags)
	if last_motion and time < blend_seconds:
		pose = _blended(last_motion.sample(last_time, flags), pose, time / blend_seconds)
	elif last_motion:
		last_motion = null
	_target.show(pose)


static func _blended(a, b, share):
	var pose = PoolRealArray(b)
	for i in 3:
		pose[i] = lerp(a[i], b[i], share)
	for i in range(3, b.size(), 4):
		var from = Quat(a[i], a[i + 1], a[i + 2], a[i + 3])
		var q = from.slerp(Quat(b[i], b[i + 1], b[i + 2], b[i + 3]), share)
		pose[i] = q.x
		pose[i + 1] = q.y
		pose[i + 2] = q.z
		pose[i + 3] = q.w
	return pose


func _exit_tree():
	if _thread.is_active():
		_pipeline.cancel()
		_thread.wait_to_finish()
