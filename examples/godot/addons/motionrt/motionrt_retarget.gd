# Carries poses of a model's skeleton over to a Skeleton of other bones, proportions and rest pose.
#
# The model rests in a T-pose, all its rotations the identity. A joint's rotation in the world is thus
# what the bone of a character turns by, from its own rest pose; arms and legs that rest otherwise
# than in a T-pose are first turned into one. Lengths stay the character's, and the hips move in
# proportion to its legs.
extends Reference

# Names of joints and bones, without case, blanks and prefixes: * is left or right, + is l or r. They
# are those of Mixamo, Unreal, Godot's and Unity's humanoids, SMPL-X and SOMA. The first that is there
# and not taken is it, from the top: "leftleg" is a thigh in SOMA and a shin in Mixamo's.
const ROLES = [
	["hips", ["hips", "pelvis", "hip"]],
	["spine", ["spine", "spine01", "spine1"]],
	["chest", ["spine1", "spine02", "spine2", "chest"]],
	["upperchest", ["spine2", "spine03", "spine3", "upperchest", "chest"]],
	["neck", ["neck", "neck01", "neck1"]],
	["head", ["head"]],
	["*shoulder", ["*collar", "clavicle+", "*shoulder"]],
	["*upperarm", ["*arm", "*upperarm", "upperarm+", "*shoulder"]],
	["*lowerarm", ["*forearm", "*lowerarm", "lowerarm+", "*elbow"]],
	["*hand", ["*hand", "hand+", "*wrist"]],
	["*lowerleg", ["*shin", "*lowerleg", "calf+", "*knee", "*leg"]],
	["*upperleg", ["*upleg", "*upperleg", "thigh+", "*hip", "*leg"]],
	["*foot", ["*ankle", "*foot", "foot+"]],
	["*toes", ["*toebase", "*toe", "*toes", "ball+", "*foot"]],
]
const ARM = ["*upperarm", "*lowerarm", "*hand"]
const LEG = ["*upperleg", "*lowerleg", "*foot"]

var _skeleton
var _parents # of the model's joints
var _joint = {} # bone -> joint
var _order = [] # bones, parents first
var _rest = {} # bone -> its rotation from its parent, at rest
var _turned = {} # bone -> its rotation in the skeleton's space when the model is in its T-pose
var _space # from the skeleton's space to that in which z is ahead
var _scale = 1.0


# frame: the Spatial whose z is ahead, or null; bone_map: names of joints -> names of bones. Returns
# what is wrong, or "".
func bind(skeleton, frame, motion, bone_map):
	_skeleton = skeleton
	_parents = motion.get_parents()
	_space = turn_of(skeleton.global_transform.basis)
	if frame is Spatial:
		_space = turn_of(frame.global_transform.basis).inverse() * _space
	var names = motion.get_joint_names()
	var offsets = motion.get_rest_offsets()
	if skeleton.get_bone_count() == 0:
		for j in names.size():
			skeleton.add_bone(names[j])
			skeleton.set_bone_parent(j, _parents[j])
			skeleton.set_bone_rest(j, Transform(Basis(), offsets[j]))
	var rests = {}
	for bone in skeleton.get_bone_count():
		_visit(bone, rests)
	var places = []
	for j in names.size():
		places.append(offsets[j] if j == 0 else places[_parents[j]] + offsets[j])
	var bones = _pair(names, bone_map)
	if not _joint.values().has(0):
		return "the skeleton has no bone for %s; name it in bone_map" % names[0]
	_measure(bones, places, rests)
	var turns = _straighten(bones, places, rests)
	for bone in _order:
		_turned[bone] = turns.get(bone, Quat()) * turn_of(rests[bone].basis)
	return ""


# What root motion is multiplied by, from the model's metres to the world's units.
func ground_scale():
	return _scale * _skeleton.global_transform.basis.get_scale().y


# Show a pose: root (3), then x y z w of each joint.
func show(pose):
	var back = _space.inverse()
	var joints = []
	for j in _parents.size():
		var at = 3 + 4 * j
		var q = Quat(pose[at], pose[at + 1], pose[at + 2], pose[at + 3])
		joints.append(q if _parents[j] < 0 else joints[_parents[j]] * q)
	var shown = {-1: Quat()}
	for bone in _order:
		var parent = shown[_skeleton.get_bone_parent(bone)]
		if not _joint.has(bone):
			shown[bone] = parent * _rest[bone]
			continue
		shown[bone] = back * joints[_joint[bone]] * _space * _turned[bone]
		var local = (_rest[bone].inverse() * parent.inverse() * shown[bone]).normalized()
		var place = Vector3()
		if _joint[bone] == 0:
			place = back.xform(Vector3(pose[0], pose[1], pose[2])) * _scale
			var above = _skeleton.get_bone_parent(bone)
			if above >= 0:
				place = _skeleton.get_bone_global_pose(above).affine_inverse().xform(place)
			place = _skeleton.get_bone_rest(bone).affine_inverse().xform(place)
		_skeleton.set_bone_pose(bone, Transform(Basis(local), place))


# "mixamorig:LeftArm", "LeftArm" and "left_arm" are one name.
static func plain(name):
	var short = name.to_lower().replace("mixamorig", "").replace("def-", "")
	for mark in ["_", "-", ".", ":", " "]:
		short = short.replace(mark, "")
	return short


static func turn_of(basis):
	return basis.orthonormalized().get_rotation_quat()


# Fill _order and _rest, and rests with each bone's transform in the skeleton's space.
func _visit(bone, rests):
	if rests.has(bone):
		return
	var parent = _skeleton.get_bone_parent(bone)
	var rest = _skeleton.get_bone_rest(bone)
	if parent >= 0:
		_visit(parent, rests)
		rest = rests[parent] * rest
	rests[bone] = rest
	_order.append(bone)
	_rest[bone] = turn_of(_skeleton.get_bone_rest(bone).basis)


# Fill _joint; return the roles that both skeletons have: role -> [joint, bone].
func _pair(names, bone_map):
	var bone_names = []
	for bone in _skeleton.get_bone_count():
		bone_names.append(_skeleton.get_bone_name(bone))
	var ours = _roles(names)
	var theirs = _roles(bone_names)
	var bones = {}
	for role in ours:
		var bone = theirs.get(role, -1)
		if bone_map.has(names[ours[role]]):
			bone = _skeleton.find_bone(bone_map[names[ours[role]]])
		if bone >= 0:
			bones[role] = [ours[role], bone]
			_joint[bone] = ours[role]
	var taken = _joint.values()
	for j in names.size(): # fingers and what else has no role
		var bone = _skeleton.find_bone(bone_map.get(names[j], names[j]))
		if bone >= 0 and not _joint.has(bone) and not taken.has(j):
			_joint[bone] = j
	return bones


static func _roles(names):
	var found = {}
	for i in names.size():
		found[plain(names[i])] = i
	var roles = {}
	for row in ROLES:
		for side in ["left", "right"] if "*" in row[0] else [""]:
			for name in row[1]:
				var wanted = name.replace("*", side).replace("+", side.left(1))
				if found.has(wanted):
					roles[row[0].replace("*", side)] = found[wanted]
					found.erase(wanted)
					break
	return roles


# The arms or legs that both have: lists of three [joint, bone].
static func _limbs(roles, bones):
	var limbs = []
	for side in ["left", "right"]:
		var parts = []
		for role in roles:
			if bones.has(role.replace("*", side)):
				parts.append(bones[role.replace("*", side)])
		if parts.size() == 3:
			limbs.append(parts)
	return limbs


# How long the character's legs are, the model's being 1.
func _measure(bones, places, rests):
	var ours = 0.0
	var theirs = 0.0
	for limb in _limbs(LEG, bones):
		for i in 2:
			ours += places[limb[i][0]].distance_to(places[limb[i + 1][0]])
			theirs += rests[limb[i][1]].origin.distance_to(rests[limb[i + 1][1]].origin)
	if ours > 0 and theirs > 0:
		_scale = theirs / ours


# What turns arms and legs from the character's rest pose to the T-pose: bone -> Quat.
func _straighten(bones, places, rests):
	var turns = {}
	var arms = _limbs(ARM, bones)
	for limb in arms + _limbs(LEG, bones):
		var turn = Quat()
		for i in 2:
			var along = rests[limb[i + 1][1]].origin - rests[limb[i][1]].origin
			var wanted = _space.inverse().xform(places[limb[i + 1][0]] - places[limb[i][0]])
			turn = _shortest(turn.xform(along), wanted) * turn
			turns[limb[i][1]] = turn
	for limb in arms: # a hand turns with its arm; feet stand flat in any rest pose
		turns[limb[2][1]] = turns[limb[1][1]]
	return turns


static func _shortest(from, to):
	var a = from.normalized()
	var b = to.normalized()
	var w = 1 + a.dot(b)
	if w < 1e-6:
		return Quat()
	var axis = a.cross(b)
	return Quat(axis.x, axis.y, axis.z, w).normalized()
