// oidc-provider, which is certified, in memory: an issuer with a path, clients as a test wants them,
// and a sign-in that a test answers over HTTP, as {"account": …, "acr": …} to where it is sent.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { Provider } from "oidc-provider";
import { hear, say, task } from "./talk.mjs";

const PATH = "/realms/tinh";
const server = createServer(answer);
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}${PATH}`;

const signing = ["ec", "rsa"].map((kind) =>
  generateKeyPairSync(kind, { namedCurve: "P-256", modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
);
const provider = new Provider(issuer, {
  clients: task.clients,
  jwks: { keys: signing },
  clientAuthMethods: task.methods,
  acrValues: task.levels,
  scopes: ["openid"],
  claims: {
    profile: ["name", "birthdate"],
    phone: ["phone_number"],
    national_id: ["national_number"],
  },
  cookies: { keys: ["of the test"] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `${PATH}/interaction/${interaction.uid}` },
  findAccount: (_, accountId) => ({
    accountId,
    claims: () => ({ sub: accountId, ...task.people[accountId] }),
  }),
  // Everybody has agreed to everything.
  async loadExistingGrant({ oidc }) {
    const about = { clientId: oidc.client.clientId, accountId: oidc.session.accountId };
    const grant = new provider.Grant(about);
    grant.addOIDCScope(oidc.params.scope);
    await grant.save();
    return grant;
  },
});
const serve = provider.callback();

async function answer(request, response) {
  if (request.method === "POST" && request.url.startsWith(`${PATH}/interaction/`)) {
    const { account, acr } = JSON.parse(await text(request));
    const answered = { login: { accountId: account, acr }, consent: {} };
    await provider.interactionFinished(request, response, answered);
    return;
  }
  // Where it is mounted, as Express would say it.
  request.originalUrl = request.url;
  request.url = request.url.replace(PATH, "");
  serve(request, response);
}

say({ issuer });
await hear(); // Until the test ends.
