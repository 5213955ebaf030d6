# A figure of sticks that does what is typed: enter sends the prompt.
extends Spatial

onready var player = $Character/Skeleton/MotionrtPlayer
onready var skeleton = $Character/Skeleton
var sticks = {} # by the bone that each ends at


func _ready():
	player.connect("failed", $Prompt, "set_text")
	$Prompt.connect("text_entered", self, "_on_prompt")


func _on_prompt(text):
	player.play(text)


func _process(_delta):
	$Progress.value = player.get_progress() if player.is_generating() else 0.0
	var middle = $Character.translation + Vector3(0, 0.8, 0)
	$Camera.look_at_from_position(middle + Vector3(1.8, 0.4, 2.4), middle, Vector3.UP)
	for bone in skeleton.get_bone_count():
		var parent = skeleton.get_bone_parent(bone)
		if parent >= 0:
			if not sticks.has(bone):
				sticks[bone] = _stick()
			var from = skeleton.get_bone_global_pose(parent).origin
			var to = skeleton.get_bone_global_pose(bone).origin
			var up = Vector3.UP if abs((to - from).normalized().y) < 0.99 else Vector3.RIGHT
			var place = Transform(Basis(), (from + to) / 2).looking_at(to, up)
			place.basis.z *= from.distance_to(to)
			sticks[bone].transform = place


func _stick():
	var stick = MeshInstance.new()
	stick.mesh = CubeMesh.new()
	stick.mesh.size = Vector3(0.06, 0.06, 1)
	stick.skeleton = NodePath() # it is no skin
	skeleton.add_child(stick)
	return stick
