"""The documents about what hangs on a front-end API of ROMA Connect, after the vendor's own client."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from orchestrator.simulator.bound_types import TypeKey
from orchestrator.simulator.exchange import HttpAnswer
from orchestrator.simulator.roma_bindings import SimulatedBinding
from orchestrator.simulator.roma_replies import (
    GROUP,
    error,
    format_time,
    make_publish_id,
    name_environment,
)

SIGN_KEY = "simulated-sign-key"
SIGN_SECRET = "simulated-sign-secret"  # noqa: S105 - opens nothing; the tests search for it everywhere
_MADE = "2026-04-01T08:00:00Z"
_THROTTLE = {
    "time_unit": "MINUTE",
    "time_interval": 1,
    "api_call_limits": 100,
    "user_call_limits": 60,
    "app_call_limits": 60,
    "ip_call_limits": 60,
    "type": 1,
    "remark": "",
    "is_inclu_special_throttle": 2,
    "create_time": _MADE,
}
_ACL = {"entity_type": "IP", "acl_type": "PERMIT", "acl_value": "192.0.2.0/24"}
_SIGN = {"sign_type": "hmac", "sign_key": SIGN_KEY, "sign_secret": SIGN_SECRET}
_PLUGIN = {
    "plugin_type": "cors",
    "plugin_scope": "global",
    "plugin_content": '{"allow_origin":"*"}',
    "remark": "",
    "create_time": _MADE,
    "update_time": _MADE,
}


def describe_owner(key: TypeKey, owner: str, name: str, bound: int) -> dict[str, object]:
    """Return a thing as the list of all of its type shows it; it hangs on ``bound`` front-end APIs."""
    match key:
        case "applications":
            secret = {"app_key": f"key-of-{owner}", "app_secret": SIGN_SECRET}
            return {"id": owner, "name": name, "status": 1, "creator": "USER", "bind_num": bound, **secret}
        case "throttles":
            return {"id": owner, "name": name, "bind_num": bound, **_THROTTLE}
        case "acls":
            return {"id": owner, "acl_name": name, "bind_num": bound, **_ACL}
        case "signs":
            return {"id": owner, "name": name, "bind_num": bound, **_SIGN}
        case "plugins":
            return {"plugin_id": owner, "plugin_name": name, **_PLUGIN}


def describe_bound(binding: SimulatedBinding, front: Mapping[str, object]) -> dict[str, object]:
    """Return a binding as the list of what hangs on one front-end API shows it."""
    name, owner, own, at = binding.what.name, binding.owner, make_id(binding), format_time(binding.at)
    place = _describe_environment(binding)
    match binding.what.type:
        case "applications":
            return _describe_permission(binding, front)
        case "throttles":
            env_name = place["env_name"]
            bound = {"bind_num": 1, "bind_id": own, "bind_time": at, "env_name": env_name}
            return {"id": owner, "name": name, **_THROTTLE, **bound}
        case "acls":
            return {"acl_id": owner, "acl_name": name, **_ACL, **place, "bind_id": own, "bind_time": at}
        case "signs":
            return _describe_signature(binding, front)
        case "plugins":
            attached = {"plugin_attach_id": own, "attached_time": at}
            return {"plugin_id": owner, "plugin_name": name, **_PLUGIN, **place, **attached}


def describe_front(binding: SimulatedBinding, front: Mapping[str, object]) -> dict[str, object]:
    """Return a binding as the list of the front-end APIs of one thing shows it."""
    place, own, at = _describe_environment(binding), make_id(binding), format_time(binding.at)
    match binding.what.type:
        case "applications":
            return _describe_permission(binding, front)
        case "signs":
            return _describe_signature(binding, front)
        case "throttles":
            shared = {key: front[key] for key in ("id", "name", "req_uri", "req_method", "auth_type")}
            where = {"run_env_id": place["env_id"], "run_env_name": place["env_name"]}
            applied = {"throttle_apply_id": own, "throttle_name": binding.what.name, "apply_time": at}
            return {**shared, **_describe_publication(binding), **where, **applied, "type": 1, "remark": ""}
        case "acls":
            bound = {"bind_id": own, "bind_time": at, "req_method": front["req_method"]}
            return {**_describe_api(binding, front), **place, **_describe_publication(binding), **bound}
        case "plugins":
            keys = ("req_protocol", "req_method", "req_uri", "auth_type", "match_mode", "roma_app_id")
            attached = {"plugin_attach_id": own, "attached_time": at, "type": 1, "remark": ""}
            return {
                **_describe_api(binding, front),
                **{key: front[key] for key in keys},
                **place,
                **_describe_publication(binding),
                **attached,
            }


def describe_created(
    binding: SimulatedBinding, front: Mapping[str, object], status: str
) -> dict[str, object]:
    """Return a binding as the answer to its creation names it; ``status`` is the result of an application."""
    own, at, publication = make_id(binding), format_time(binding.at), _describe_publication(binding)
    place = {"api_id": binding.front, "env_id": binding.environment}
    match binding.what.type:
        case "applications":
            result = {"auth_result": {"status": status}, "auth_time": at, "auth_role": "PROVIDER"}
            tunnel = {"auth_tunnel": binding.what.tunnel}
            return {"id": own, "api_id": binding.front, "app_id": binding.owner, **result, **tunnel}
        case "throttles":
            publish_id = publication["publish_id"]
            applied = {"scope": 1, "strategy_id": binding.owner, "apply_time": at}
            return {"id": own, "publish_id": publish_id, **applied}
        case "acls":
            return {"id": own, **place, "acl_id": binding.owner, "create_time": at}
        case "signs":
            return _describe_signature(binding, front)
        case "plugins":
            bound = describe_bound(binding, front)
            shared = {key: bound[key] for key in ("plugin_id", "plugin_name", "plugin_type", "plugin_scope")}
            attached = {"plugin_attach_id": own, "attached_time": at, "api_name": front["name"]}
            return {**shared, **place, "env_name": name_environment(binding.environment), **attached}


def describe_refused(binding: SimulatedBinding) -> dict[str, object]:
    """Return the result of a pair whose application the user may not give permissions of."""
    told = {"status": "FAILED", "error_code": "APIG.3460", "error_msg": "No permission on the application"}
    result = {"auth_result": {**told, "app_name": binding.what.name}}
    return {**describe_created(binding, {}, "FAILED"), **result}


def make_id(binding: SimulatedBinding) -> str:
    """Return the id of a binding; one that is made again has another id."""
    return blake2b(f"binding/{binding.number}".encode(), digest_size=16).hexdigest()


def _describe_permission(binding: SimulatedBinding, front: Mapping[str, object]) -> dict[str, object]:
    what = binding.what
    return {
        "id": make_id(binding),
        **_describe_api(binding, front),
        **_describe_environment(binding),
        **_describe_publication(binding),
        "auth_role": "PROVIDER",
        "auth_time": format_time(binding.at),
        "app_id": binding.owner,
        "app_name": what.name,
        "app_type": "roma",
        "app_creator": "USER",
        "roma_app_type": "subscription",
        "auth_tunnel": what.tunnel,
        "auth_whitelist": list(what.whitelist),
        "auth_blacklist": list(what.blacklist),
        "visit_param": what.visit,
    }


def _describe_signature(binding: SimulatedBinding, front: Mapping[str, object]) -> dict[str, object]:
    return {
        "id": make_id(binding),
        **_describe_api(binding, front),
        **_describe_environment(binding),
        **_describe_publication(binding),
        "api_remark": "",
        "binding_time": format_time(binding.at),
        "sign_id": binding.owner,
        "sign_name": binding.what.name,
        **_SIGN,
    }


def _describe_api(binding: SimulatedBinding, front: Mapping[str, object]) -> dict[str, object]:
    return {"api_id": binding.front, "api_name": front["name"], "api_type": 1}


def _describe_environment(binding: SimulatedBinding) -> dict[str, object]:
    return {"env_id": binding.environment, "env_name": name_environment(binding.environment)}


def _describe_publication(binding: SimulatedBinding) -> dict[str, object]:
    publication = make_publish_id(binding.front, binding.environment)
    return {"publish_id": publication, "group_id": GROUP, "group_name": "simulated"}


def no_permission() -> HttpAnswer:
    """Refuse a user who may not do this."""
    return error(403, "APIG.1005", "No permissions to request this method")


# The reference prints no codes for the next four; these are made up, in the form of the family's others.
def no_such_owner(word: str, owner: str) -> HttpAnswer:
    return error(404, "APIG.3004", f"The {word} does not exist,id:{owner}")


def no_such_publication(publication: str) -> HttpAnswer:
    return error(404, "APIG.3012", f"The publication does not exist,id:{publication}")


def not_published(front: str, environment: str) -> HttpAnswer:
    return error(400, "APIG.3202", f"The API {front} has not been published in the environment {environment}")


def bound_already(word: str) -> HttpAnswer:
    return error(409, "APIG.3312", f"The {word} is bound to the API already")
