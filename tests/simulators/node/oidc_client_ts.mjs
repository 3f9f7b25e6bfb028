// One sign-in with oidc-client-ts, with the changes that a test asks for.
//
// Our clients are confidential, so their secret is in no browser: it runs here in node, with the
// library's own storage in memory.
import { InMemoryWebStorage, OidcClient, WebStorageStateStore } from "oidc-client-ts";
import { hear, outcome, say, task } from "./talk.mjs";

const stateStore = new WebStorageStateStore({ store: new InMemoryWebStorage() });
const client = new OidcClient({
  authority: task.issuer,
  client_id: task.client,
  client_secret: task.secret,
  client_authentication: task.method,
  redirect_uri: task.redirect,
  scope: task.scope,
  loadUserInfo: true,
  filterProtocolClaims: false,
  stateStore,
  ...task.settings,
});
const nonce = task.nonce === undefined ? crypto.randomUUID() : (task.nonce ?? undefined);
const begun = await client.createSigninRequest({ nonce });
say({ url: begun.url });

const callback = await hear();
const kept = await stateStore.get(begun.state.id);
const remembered = JSON.stringify({ ...JSON.parse(kept), ...task.remembered });
let token;

async function exchange() {
  await stateStore.set(begun.state.id, remembered);
  const answer = await client.processSigninResponse(callback);
  token = answer.access_token;
  return { claims: answer.profile };
}

say(await outcome(exchange));
if (token) {
  const again = await outcome(exchange);
  const { userinfo_endpoint } = await client.metadataService.getMetadata();
  const after = await fetch(userinfo_endpoint, { headers: { authorization: `Bearer ${token}` } });
  say({ again: again.error, status: after.status });
}
