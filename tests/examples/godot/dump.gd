# Plays a motion on characters of several kinds, and writes where their bones are in the world.
extends SceneTree

const BUNDLE = "res://addons/motionrt/bin/motionrt-default"
const MIXAMO = "mixamorig_"

var _model # name, parent and offset of each joint of the default


func _initialize():
	var dump = {}
	dump["plain"] = yield(_play(_character(Skeleton.new()), false), "completed")

	# Bones whose axes lie anywhere, in units of 5 mm, under a node turned as Blender's armatures are.
	var skeleton = _skeleton("", 200, true, false)
	skeleton.transform = Transform(Basis(Vector3.RIGHT, -PI / 2).scaled(Vector3.ONE * 0.01), Vector3())
	dump["turned"] = yield(_play(_character(skeleton), false), "completed")

	dump["a_pose"] = yield(_play(_character(_skeleton(MIXAMO, 1, false, true)), false), "completed")

	var mover = _character(_skeleton(MIXAMO, 1, true, true))
	mover[0].transform = Transform(Basis(Vector3.UP, 2), Vector3(3, 0, -1))
	dump["moved"] = yield(_play(mover, true), "completed")

	dump["problems"] = yield(_problems(), "completed")
	dump["gone"] = yield(_gone(), "completed")
	dump["scene"] = yield(_scene(), "completed")

	var file = File.new()
	file.open(OS.get_environment("MOTIONRT_DUMP"), File.WRITE)
	file.store_string(to_json(dump))
	file.close()
	quit()


func _problems():
	var problems = {}
	var player = _player(_character(Skeleton.new()))
	player.bundle = "res://nowhere"
	player.play("waves")
	problems["no bundle"] = yield(player, "failed")
	player.bundle = BUNDLE + "/." # another one, as far as the player knows
	player.play("waves", {"seconds": 1, "preset": "fast"})
	yield(player, "started")
	player.bundle = BUNDLE
	player.play("waves", {"sceonds": 1})
	problems["option"] = yield(player, "failed")
	var stranger = Skeleton.new()
	stranger.add_bone("Tail")
	player = _player(_character(stranger))
	player.play("waves", {"seconds": 1, "preset": "fast"})
	problems["no hips"] = yield(player, "failed")
	for child in get_root().get_children():
		child.queue_free()
	var pipeline = load("res://addons/motionrt/motionrt_pipeline.gdns").new()
	var motion = load("res://addons/motionrt/motionrt_motion.gdns").new()
	problems["arguments"] = pipeline.generate(pipeline, "waves", {})
	problems["unopened"] = pipeline.generate(motion, "waves", {})
	return problems


# A player that leaves the scene ends what it was waiting for.
func _gone():
	var character = _character(Skeleton.new())
	var player = _player(character)
	player.play("waves", {"steps": 100})
	while player.get_progress() == 0.0:
		yield(self, "idle_frame")
	get_root().remove_child(character[0])
	var gone = "cancelled" if player.motion == null and player.get_progress() < 1 else "made"
	character[0].free()
	return gone


# The project's own scene, until its figure has walked for a second.
func _scene():
	var scene = load("res://walk.tscn").instance()
	get_root().add_child(scene)
	var player = scene.get_node("Character/Skeleton/MotionrtPlayer")
	yield(player, "started")
	while player.time < 1:
		yield(self, "idle_frame")
	scene._on_prompt("a person jumps")
	yield(player, "started")
	var walked = scene.get_node("Character").translation
	scene.queue_free()
	return [walked.x, walked.y, walked.z]


func _character(skeleton):
	var character = Spatial.new()
	character.add_child(skeleton)
	return [character, skeleton]


# The model's skeleton as another program would have it.
func _skeleton(prefix, size, turned, a_pose):
	var skeleton = Skeleton.new()
	var rests = [] # in the skeleton's space: turned to lie as the node of "turned" wants it
	var lie = Basis(Vector3.RIGHT, PI / 2) if size != 1 else Basis()
	for joint in _model.size():
		var name = _model[joint][0]
		var parent = _model[joint][1]
		var offset = lie.xform(_model[joint][2] * size)
		var swing = Basis()
		if a_pose and name in ["LeftArm", "RightArm"]:
			swing = Basis(Vector3.BACK, -0.8 if name == "LeftArm" else 0.8)
		if parent >= 0:
			swing = rests[parent][1] * swing
			offset = rests[parent][0].origin + rests[parent][1].xform(offset)
		var axes = Basis(Vector3(joint % 3 + 1, joint % 5, joint % 2).normalized(), joint) if turned else swing
		var rest = Transform(axes, offset)
		rests.append([rest, swing])
		skeleton.add_bone(prefix + name)
		skeleton.set_bone_parent(joint, parent)
		var local = rests[parent][0].affine_inverse() * rest if parent >= 0 else rest
		skeleton.set_bone_rest(joint, local)
	skeleton.add_bone("LeftSleeve") # of a character's own
	skeleton.set_bone_parent(skeleton.get_bone_count() - 1, skeleton.find_bone(prefix + "LeftForeArm"))
	return skeleton


func _player(character):
	var player = load("res://addons/motionrt/motionrt_player.gd").new()
	player.prompt = ""
	player.loop = false
	character[1].add_child(player)
	get_root().add_child(character[0])
	return player


func _play(character, moves):
	var player = _player(character)
	if moves:
		player.character = NodePath("../..")
	player.play("a person walks forward", {"seed": 1, "seconds": 2})
	yield(player, "started")
	player.set_process(false)
	var frames = []
	var frame_seconds = 1 / player.motion.get_fps()
	for _frame in int(round(player.motion.get_seconds() / frame_seconds)):
		frames.append(_places(character[1]))
		player.advance(frame_seconds)
	# What comes next is blended in, and begins where this one ended.
	var before = _places(character[1])
	player.play("a person jumps", {"seed": 2, "seconds": 1})
	yield(player, "started")
	player.set_process(false)
	var after = _places(character[1])
	player.advance(player.motion.get_seconds())
	var end = _places(character[1])
	if _model == null:
		_model = _read(character[1])
	character[0].queue_free()
	return {"frames": frames, "before": before, "after": after, "end": end}


func _read(skeleton):
	var model = []
	for bone in skeleton.get_bone_count():
		var parent = skeleton.get_bone_parent(bone)
		model.append([skeleton.get_bone_name(bone), parent, skeleton.get_bone_rest(bone).origin])
	return model


func _places(skeleton):
	var places = {}
	for bone in skeleton.get_bone_count():
		var at = skeleton.global_transform.xform(skeleton.get_bone_global_pose(bone).origin)
		places[skeleton.get_bone_name(bone).replace(MIXAMO, "")] = [at.x, at.y, at.z]
	return places
