"""HumanML3D's representation of motion: features, joints, and motions given to a model."""
