"""The plan that ``undeploy init`` writes: short, commented, and valid without a change."""

from __future__ import annotations

from datetime import datetime, timedelta

WINDOW = timedelta(hours=4)
"""How long the window lasts that the plan shows."""

_STARTER = """\
# yaml-language-server: $schema=plan.schema.json
# Editors explain and complete the keys once that file is there: undeploy schema -o plan.schema.json
# A plan for undeploy. Check it with: undeploy check PLAN
# Try it without a network and without a credential: undeploy rehearse PLAN
version: 1
name: retire-orders
# In the reports, and in Apinizer's history record:
reason: CHG-0000 what this is for

# When undeploys may start. A time always has its offset from UTC.
# {window}

# The installations that are talked to. A credential is a reference, never the credential itself:
# {env: NAME}, {file: path}, {command: [program, argument]} (what it prints; no shell) or
# {keyring: service/user}. Paths are relative to this file.
gateways:
  roma-eu:
    kind: roma
    url: https://roma.eu-west-101.myhuaweicloud.eu
    project_id: 0123456789abcdef0123456789abcdef
    instance_id: f0fa1789-3b76-433b-a787-9892951c620e
    # api_version: v2                # v1 has the id in the body (the default), v2 in the path
    auth: {token: {env: ROMA_TOKEN}}
    # Or, in place of a token, a user of IAM who logs in for one:
    # auth: {iam: {url: https://iam.eu-west-101.myhuaweicloud.eu, user: undeployer, domain: example,
    #              password: {file: iam-password}}}
    # Or a pair of keys that signs each request; temporary ones with a security_token:
    # auth: {access_key: {env: ROMA_AK}, secret_key: {command: [pass, show, roma-sk]}}
    # limits: {concurrency: 8, rate: 20/s}  # in flight (default 8 for ROMA, 4 for Apinizer); no fixed rate
    # park_for: 10m                  # how long it is waited for while it is ill
    # retry: {attempts: 5, first: 0.5s, ceiling: 30s}
    # look: always                   # before and after each target; doubt (the default): only where in doubt
    # absent: ok                     # what does not exist is already undeployed; fail is the default
    # timeout: 30s                   # of one reply
    # proxy: http://proxy.example.com:3128  # else HTTPS_PROXY, HTTP_PROXY and NO_PROXY
  apim:
    kind: apinizer
    url: https://apim.example.com
    auth: {token: {env: APINIZER_TOKEN}}
    # Or a user of the manager who logs in for a token:
    # auth: {login: {user: undeployer, password: {keyring: apinizer/undeployer}}}
    # tls: {ca_file: corp-ca.pem, cert_file: me.pem, key_file: me.key}  # beside the system's certificates
    # Calls are counted by the Elasticsearch that the gateway logs its traffic to (for in_use and --usage);
    # auth: user with password, api_key or token:
    # usage:
    #   elasticsearch:
    #     url: https://elastic.example.com:9200
    #     index: apinizer-log-apiproxy-*
    #     auth: {user: reader, password: {env: ELASTIC_PASSWORD}}

# Never touched, whatever else the plan says. * stays inside one part of an id, ** crosses parts.
protect: ["apim/Payments/*/production"]

# The plan is refused if it has more targets than this.
at_most: 50

# A target that was called lately: ignore is the default; warn tells it, refuse leaves it as it is.
# in_use: refuse
# in_use_over: 0/72h               # in use with more calls than this in the last hours, 72 at most

# When the run stops by itself: a share of a wave's ended targets, or a count. The defaults:
# stop_when: {failed: 20%, unknown: 20%, surprising: 50%}

# Waves go one after the other. A plan of one wave may have `targets:` here instead.
waves:
  - name: canary
    # pause_after: 5m                # before the next step or wave
    # proceed: ask                   # somebody is asked before it; automatic is the default
    targets:
      - {gateway: apim, project: Retail, proxy: petstore-api, environment: test}
  - name: everything
    # sizes: [1, 10%, 100%]          # in steps: up to one target, a tenth, all
    targets:
      - gateway: roma-eu
        ld_api_ids:
          - bd42841c20184da6bbf457c6d8a06e37
          - 5f1c0a7799e84d3c8a1b2f60c4d5e6f7
      # Every proxy in every environment that is listed: four targets.
      - gateway: apim
        project: Retail
        proxies: [orders-api, baskets-api]
        environments: [test, production]
        # after: [apim/Retail/petstore-api/test]  # goes first; of the same or an earlier wave
      # A long list: CSV with a header of the target's own keys, or JSON lines (.jsonl).
      # - {gateway: roma-eu, from_file: retired.csv}
"""


def compose_starter(opens: datetime) -> str:
    """Return the plan, with a window that opens at the aware time ``opens``."""
    closes = opens + WINDOW
    return _STARTER.replace(
        "{window}", f"window: {{opens: {opens.isoformat()}, closes: {closes.isoformat()}}}"
    )
