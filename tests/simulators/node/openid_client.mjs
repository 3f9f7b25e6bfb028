// One sign-in with openid-client, as its documentation has it, with the changes that a test asks for.
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import * as client from "openid-client";
import { hear, outcome, say, task } from "./talk.mjs";

async function authentication() {
  if (task.method === "client_secret_basic") return client.ClientSecretBasic(task.secret);
  if (task.method === "client_secret_post") return client.ClientSecretPost(task.secret);
  const der = createPrivateKey(readFileSync(task.key)).export({ type: "pkcs8", format: "der" });
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const key = await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  return client.PrivateKeyJwt(key);
}

const config = await client.discovery(
  new URL(task.issuer), task.client, undefined, await authentication(),
  // The provider of the test is on loopback; and signatures are checked though the channel is ours.
  { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] },
);
const verifier = client.randomPKCECodeVerifier();
const nonce = client.randomNonce();
const state = client.randomState();
const request = {
  redirect_uri: task.redirect,
  scope: task.scope,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  nonce,
  state,
  ...task.request,
};
for (const name of Object.keys(request)) if (request[name] === null) delete request[name];
if (request.code_challenge_method === "plain") request.code_challenge = verifier;
say({ url: client.buildAuthorizationUrl(config, request).href });

const callback = new URL(await hear());
const pkceCodeVerifier = task.verifier === undefined ? verifier : (task.verifier ?? undefined);
const checks = { pkceCodeVerifier, expectedNonce: nonce, expectedState: state };
let token;

async function exchange() {
  const tokens = await client.authorizationCodeGrant(config, callback, checks);
  token = tokens.access_token;
  const claims = tokens.claims();
  return { claims, userinfo: await client.fetchUserInfo(config, token, claims.sub) };
}

say(await outcome(exchange));
if (token) {
  const first = token;
  const again = await outcome(exchange);
  const after = await client.fetchProtectedResource(
    config, first, new URL(config.serverMetadata().userinfo_endpoint), "GET",
  ).then((answer) => answer.status, (error) => error.status);
  say({ again: again.error, status: after });
}
