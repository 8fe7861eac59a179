"""A real OAuth 2 server, of the library for servers: codes with PKCE, refresh tokens that are exchanged at each use."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, jsonify, request

HOST = "accounts.crm.example"
CLIENT_ID = "client-1"
CLIENT_SECRET = "client-s3cret"
LIFETIME_S = 600


class Client(ClientMixin):
    """The connector, as the server knows it."""

    client_id = CLIENT_ID

    def __init__(self, redirect_uris: set[str]) -> None:
        self.redirect_uris = redirect_uris

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return scope

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret):
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type in {"authorization_code", "refresh_token"}


class Token(TokenMixin):
    """A refresh token that has been handed out."""

    def __init__(self, client: Client, values: dict[str, Any]) -> None:
        self.client = client
        self.values = values
        self.revoked = False

    def check_client(self, client):
        return client is self.client

    def get_scope(self):
        return self.values.get("scope")

    def get_expires_in(self):
        return self.values["expires_in"]

    def is_expired(self):
        return False

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return SimpleNamespace(id="user-1")

    def get_client(self):
        return self.client


class OAuthServer:
    """The server; mount ``app`` on a network.

    Args:
        redirect_uris: Callbacks that are registered for the client.
    """

    def __init__(self, *redirect_uris: str) -> None:
        self.client = Client(set(redirect_uris))
        self.codes: dict[str, Any] = {}
        self.tokens: dict[str, Token] = {}
        #: Access tokens that were handed out, in order.
        self.issued: list[str] = []
        #: Grant types that were asked for, in order.
        self.asked: list[str] = []
        self.app = Flask("oauth-server")
        self.app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
        self.app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"authorization_code": LIFETIME_S, "refresh_token": LIFETIME_S}
        self._server = AuthorizationServer(self.app, self._find_client, self._save)
        self._server.register_grant(self._code_grant(), [CodeChallenge(required=True)])
        self._server.register_grant(self._refresh_grant())
        self.app.add_url_rule("/authorize", "authorize", self._authorize)
        self.app.add_url_rule("/token", "token", self._token, methods=["POST"])
        self.app.add_url_rule("/me", "me", self._me)

    def agree(self, location: str) -> str:
        """Agree as the user who was sent to an address, and return where the server sends the browser back to."""
        parts = urlsplit(location)
        assert (parts.scheme, parts.netloc, parts.path) == ("https", HOST, "/authorize")
        response = self.app.test_client().get(f"/authorize?{parts.query}", base_url=f"https://{HOST}")
        assert response.status_code == 302, response.text
        return response.headers["Location"]

    def _find_client(self, client_id):
        return self.client if client_id == CLIENT_ID else None

    def _save(self, token, asked):
        self.issued.append(token["access_token"])
        self.tokens[token["refresh_token"]] = Token(asked.client, dict(token))

    def _authorize(self):
        user = SimpleNamespace(id="user-1")
        try:
            grant = self._server.get_consent_grant(end_user=user)
            # The server's own method for these two has other parameters in each of the library's versions.
            answer = grant.create_authorization_response(grant.validate_authorization_request(), user)
        except OAuth2Error as err:
            return jsonify(error=err.error), 400
        return self._server.handle_response(*answer)

    def _token(self):
        self.asked.append(request.form["grant_type"])
        return self._server.create_token_response()

    def _me(self):
        found = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return jsonify(name="Ann") if self.issued and found == self.issued[-1] else (jsonify(error="no"), 401)

    def _code_grant(self):
        codes = self.codes

        class CodeGrant(grants.AuthorizationCodeGrant):
            TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

            def save_authorization_code(self, code, asked):
                payload = getattr(asked, "payload", asked)  # the oldest versions have it all in the request
                redirect_uri, scope = payload.redirect_uri, payload.scope
                codes[code] = SimpleNamespace(
                    code=code,
                    redirect_uri=redirect_uri,
                    code_challenge=payload.data["code_challenge"],
                    code_challenge_method=payload.data["code_challenge_method"],
                    get_redirect_uri=lambda: redirect_uri,
                    get_scope=lambda: scope,
                    get_nonce=lambda: None,
                    get_auth_time=time.time,
                )

            def query_authorization_code(self, code, client):
                return codes.get(code)

            def delete_authorization_code(self, authorization_code):
                del codes[authorization_code.code]

            def authenticate_user(self, authorization_code):
                return SimpleNamespace(id="user-1")

        return CodeGrant

    def _refresh_grant(self):
        tokens = self.tokens

        class RefreshGrant(grants.RefreshTokenGrant):
            INCLUDE_NEW_REFRESH_TOKEN = True
            TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

            def authenticate_refresh_token(self, refresh_token):
                token = tokens.get(refresh_token)
                return None if token is None or token.revoked else token

            def authenticate_user(self, refresh_token):
                return refresh_token.get_user()

            def revoke_old_credential(self, refresh_token):
                refresh_token.revoked = True

        return RefreshGrant
