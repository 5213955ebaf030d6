"""The OpenAPI document of a server of motions, and what it tells of its bundles."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import motionrt
from motionrt.runtime.errors import InputError
from motionrt.runtime.families import Family
from motionrt.runtime.options import MOTION_KINDS, Kind
from motionrt.runtime.pipeline import Pipeline
from motionrt.runtime.request import request_schema
from motionrt.runtime.sampling.schedule import SOLVERS
from motionrt.serving.jobs import ENDS, JobLimits, State
from motionrt.serving.motion_answers import (
    JOINT_NAMES,
    JSON,
    JSON_TYPE,
    LEAST_FPS,
    MEDIA_TYPES,
    MOST_FPS,
    OTHER_TYPE,
    RESTS,
    SERVED_FORMATS,
    ZIP_TYPE,
    check_body,
    skeleton_document,
)

Document = dict[str, Any]
_DEFAULTS = ("num_steps", "solver", "guidance_type", "guidance_weights")


def bundle_document(name: str, pipeline: Pipeline, limits: JobLimits) -> Document:
    """Return what a client must know of a bundle to ask for its motions."""
    manifest, family = pipeline.manifest, pipeline.family
    known = manifest.text.get("known_prompts") or {}
    solver = manifest.sampler.get("solver")
    return {
        "name": name,
        "family": family.name,
        "fps": pipeline.fps,
        "skeleton": skeleton_document(pipeline.skeleton),
        "advised_seconds": pipeline.advised_frames / pipeline.fps,
        "max_seconds": limits.seconds,
        "max_motions": limits.motions,
        "max_steps": limits.steps,
        "defaults": {key: manifest.sampler[key] for key in _DEFAULTS if key in manifest.sampler},
        "options": {key: option.help.partition("  [")[0] for key, option in family.options.items()},
        "presets": sorted(family.presets),
        "solvers": sorted({*SOLVERS, solver}) if solver is not None else [],
        "constraints": "constraints" in family.options,
        "sequences": family.takes_sequences,
        "actions": list(known.get("actions", ())),
        "formats": [JSON, *(each for each in SERVED_FORMATS if _holds(each, pipeline))],
        "licence": str(manifest.provenance.get("licence", "")),
        "runs_on": pipeline.backend.name,
    }


def _holds(format: str, pipeline: Pipeline) -> bool:
    try:
        check_body(format, pipeline.skeleton)
    except InputError:
        return False
    return True


def openapi_document(families: Iterable[Family], limits: JobLimits) -> Document:
    """Return the OpenAPI 3.1 document of a server of such families."""
    own = {family.name: family for family in families}
    schemas = {**_schemas(), **_requests(list(own.values()), limits)}
    bundle = _query("bundle", {"type": "string"}, "Whose motions; the first one if left out.")
    number = _path("number", {"type": "string", "pattern": "^[0-9]+$"}, "From 0.")
    job = _path("id", {"type": "string"}, "Of a job.")
    files = [
        _query("fps", {"type": "number", "minimum": LEAST_FPS, "maximum": MOST_FPS},
               "Frame rate; the model's if left out."),
        _query("rest", {"enum": list(RESTS)}, "Rest pose of BVH and glTF."),
        _query("joint_names", {"enum": list(JOINT_NAMES)}, "Names of the joints of BVH and glTF."),
    ]  # fmt: skip
    format = _path("format", {"enum": [JSON, *SERVED_FORMATS]}, "What the motions come as.")
    body = {
        "required": True,
        "content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/Request"}}},
    }
    refused = _errors("400", "404", "408", "413", "415", "422", "429", "500", "503")
    paths: Document = {}
    for suffix, parameters in (("", []), (".{format}", [format])):
        paths[f"/v1/motions{suffix}"] = {
            "post": {
                "operationId": "makeMotions" + ("As" if suffix else ""),
                "summary": "Make motions while the client waits; its leaving cancels them.",
                "parameters": [*parameters, bundle, *files],
                "requestBody": body,
                "responses": {"200": _motions(), **refused, **_errors("406", "410")},
            }
        }
        for part, more in (("", []), ("/{number}", [number])):
            paths[f"/v1/jobs/{{id}}/motions{part}{suffix}"] = {
                "get": {
                    "operationId": f"fetchMotion{'' if part else 's'}{'As' if suffix else ''}",
                    "summary": "Fetch what a job made.",
                    "parameters": [job, *more, *parameters, *files],
                    "responses": {
                        "200": _motions(),
                        **_errors("404", "406", "409", "410", "422", "500"),
                    },
                }
            }
    paths["/v1/jobs"] = {
        "post": {
            "operationId": "beginJob",
            "summary": "Let a request wait for its turn.",
            "parameters": [bundle],
            "requestBody": body,
            "responses": {
                "202": {
                    **_json("Job", "It waits."),
                    "headers": {"Location": {"schema": {"type": "string"}}},
                    "links": {
                        name: {"operationId": name, "parameters": {"id": "$response.body#/id"}}
                        for name in ("jobState", "watchJob", "fetchMotions", "cancelJob")
                    },
                },
                **refused,
            },
        }
    }
    paths["/v1/jobs/{id}"] = {
        "get": {
            "operationId": "jobState",
            "summary": "Where a job is.",
            "parameters": [job],
            "responses": {"200": _json("Job", "Where it is."), **_errors("404")},
        },
        "delete": {
            "operationId": "cancelJob",
            "summary": "Let a job end before it is done, or forget one that has ended.",
            "parameters": [job],
            "responses": {"200": _json("Job", "Where it was."), **_errors("404")},
        },
    }
    events = "Server-sent events: progress, and in the end done, failed or cancelled."
    job_schema = {"$ref": "#/components/schemas/Job"}
    told = {"type": "string", "contentMediaType": JSON_TYPE, "contentSchema": job_schema}
    names = ["progress", *(state.value for state in ENDS)]
    event = _object({"event": {"enum": names}, "data": told})  # of each of them
    paths["/v1/jobs/{id}/events"] = {
        "get": {
            "operationId": "watchJob",
            "summary": "Be told of a job's progress until it has ended.",
            "parameters": [job],
            "responses": {
                "200": _content({"text/event-stream": event}, events),
                **_errors("404", "503"),
            },
        }
    }
    paths["/v1/bundles"] = _plain("bundles", "What is served.", _json("Bundles", "The bundles."))
    text = {"type": "string"}
    for place, id, summary in (
        ("/healthz", "healthy", "Whether the server answers."),
        ("/readyz", "ready", "Whether it takes requests: 503 once it stops."),
        ("/metrics", "metrics", "Figures for Prometheus."),
    ):
        paths[place] = _plain(id, summary, _content({"text/plain": text}, "Text."))
    paths["/readyz"]["get"]["responses"].update(_errors("503"))
    for place in ("/healthz", "/readyz"):
        paths[place]["get"]["security"] = [{}]
    for path in paths.values():
        for operation in path.values():
            operation["responses"].setdefault("401", _errors("401")["401"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "motionrt",
            "version": motionrt.__version__,
            "description": "Motions from texts. Errors are JSON with one line in detail.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _requests(families: Sequence[Family], limits: JobLimits) -> Document:
    """Return the schemas of requests, with what a server takes of them."""
    document = request_schema(families)
    schemas: Document = {}
    for family in families:
        schema = copy.deepcopy(document["$defs"][family.name])
        for name, option in family.options.items():
            description = schema["properties"][name].get("description", "")
            if option.kind is Kind.CONSTRAINTS:
                kind: Document = {"type": "array", "items": {"type": "object"}}
            elif option.kind in MOTION_KINDS:
                place = {"type": "string", "pattern": "^/v1/jobs/[0-9a-f]{32}/motions/[0-9]{1,6}$"}
                kind = place
                if option.kind is Kind.TWO_FILES:
                    kind = {"type": "array", "items": place, "minItems": 2, "maxItems": 2}
                description += " Here: a motion of a job that is kept."
            else:
                continue
            schema["properties"][name] = {
                "anyOf": [kind, {"type": "null"}],
                "description": description,
            }
        _narrow(schema, family, limits)
        schema["examples"] = [{"prompt": "a person walks forward", "seconds": 1.0, "seed": 7}]
        schemas[_schema_name(family)] = schema
    names = [{"$ref": f"#/components/schemas/{_schema_name(family)}"} for family in families]
    schemas["Request"] = names[0] if len(names) == 1 else {"anyOf": names}
    return schemas


def _narrow(schema: Document, family: Family, limits: JobLimits) -> None:
    """Write the limits of a server, and what a family names, into its schema."""
    length = {"type": "number", "exclusiveMinimum": 0, "maximum": limits.seconds}
    count = {"type": "integer", "minimum": 1}
    steps = {"type": "integer", "minimum": 1, "maximum": limits.steps}
    narrower: Document = {
        "seconds": [length, {"type": "array", "items": length}, {"type": "string"}],
        "num_frames": [count, {"type": "array", "items": count}],
        "num_steps": [steps],
        "preset": [{"enum": sorted(family.presets)}],
        "guidance_type": [{"enum": ["nocfg", "regular", "separated"]}],
        "guidance_weights": [
            {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 2}
        ],
        "guidance_interval": [
            {
                "type": "array",
                "items": {"type": "number", "minimum": 0, "maximum": 1},
                "minItems": 1,
                "maxItems": 2,
            }
        ],
        "solver": [{"enum": [*SOLVERS, "ancestral"]}],
    }
    properties = schema["properties"]
    for name, kinds in narrower.items():
        if name in properties:
            properties[name]["anyOf"] = [*kinds, {"type": "null"}]
    properties["num_samples"]["maximum"] = limits.motions


def _schema_name(family: Family) -> str:
    return "RequestOf" + "".join(part.capitalize() for part in family.name.split("-"))


def _schemas() -> Document:
    number, text = {"type": "number"}, {"type": "string"}
    lists = {"type": "array", "items": {"type": "array"}}
    texts = {"type": "array", "items": text}
    skeleton = {
        "name": text,
        "joint_names": texts,
        "parents": {"type": "array", "items": {"type": "integer"}},
        "rest_positions": lists,
        "hip_joints": {"type": "array"},
        "left_foot_joints": {"type": "array"},
        "right_foot_joints": {"type": "array"},
    }
    motion = {
        "num_frames": {"type": "integer"},
        "local_rotations": {**lists, "description": "(T, J, 4) w x y z, relative to the parent."},
        "root_positions": {**lists, "description": "(T, 3) metres, y up."},
        "posed_joints": {**lists, "description": "(T, J, 3) metres, in the world."},
        "foot_contacts": {
            "type": ["array", "null"],
            "description": "(T, C): left ankle, left toe, right ankle, right toe; 1 stands.",
        },
        "smooth_root_positions": {"type": ["array", "null"], "description": "(T, 3)."},
        "info": {"type": "object", "description": "Prompt, seed, sample, steps and so on."},
        "notes": texts,
        "warnings": {**texts, "description": "What is doubtful with it."},
    }
    of_skeleton, of_motion = _object(skeleton), _object(motion)
    motions = {
        "bundle": text,
        "hints": {**texts, "description": "Prompts that are far from what the model knows."},
        "fps": number,
        "skeleton": {"$ref": "#/components/schemas/Skeleton"},
        "motions": {"type": "array", "items": {"$ref": "#/components/schemas/Motion"}},
    }
    progress = _object({"stage": text, "done": {"type": "integer"}, "total": {"type": "integer"}})
    seconds = {"type": ["number", "null"]}
    job = {
        "id": text,
        "bundle": text,
        "state": {"enum": [state.value for state in State]},
        "position": {"type": ["integer", "null"], "description": "How many wait before it."},
        "progress": {"anyOf": [progress, {"type": "null"}]},
        "num_motions": {"type": "integer"},
        "error": {"type": ["string", "null"]},
        "seconds": _object({"waited": seconds, "ran": seconds}),
        "links": _object({"self": text, "events": text, "motions": text}),
    }
    bundle = {"type": "object", "required": ["name", "family", "fps", "skeleton", "formats"]}
    return {
        "Skeleton": of_skeleton,
        "Motion": of_motion,
        "Motions": _object(motions),
        "Job": _object(job),
        "Bundles": _object({"bundles": {"type": "array", "items": bundle}}),
        "Error": _object({"detail": text}),
    }


def _object(properties: Document) -> Document:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _content(schemas: dict[str, Document], description: str) -> Document:
    content = {media: {"schema": schema} for media, schema in schemas.items()}
    return {"description": description, "content": content}


def _json(name: str, description: str) -> Document:
    return _content({JSON_TYPE: {"$ref": f"#/components/schemas/{name}"}}, description)


def _motions() -> Document:
    files: Document = {media: {} for media in (*MEDIA_TYPES.values(), OTHER_TYPE, ZIP_TYPE)}
    answer = _content(files, "JSON, a file, or a .zip of several.")
    answer["content"].update(_json("Motions", "")["content"])
    return answer


def _plain(id: str, summary: str, answer: Document) -> Document:
    return {"get": {"operationId": id, "summary": summary, "responses": {"200": answer}}}


_WHY = {
    "400": "No JSON.",
    "401": "A token is needed.",
    "404": "There is none.",
    "406": "Motions do not come as that.",
    "408": "The request came too slowly.",
    "409": "Not done yet.",
    "410": "It was cancelled.",
    "413": "The request is too large.",
    "415": "A request is JSON.",
    "422": "What is wrong with the request.",
    "429": "Too many requests of this client wait.",
    "500": "The server failed.",
    "503": "There is no room now, or the server stops.",
}


def _errors(*codes: str) -> Document:
    return {code: _json("Error", _WHY[code]) for code in codes}


def _query(name: str, schema: Document, description: str) -> Document:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _path(name: str, schema: Document, description: str) -> Document:
    place = _query(name, schema, description)
    return {**place, "in": "path", "required": True}
