// An OpenID provider for tests. node server.mjs [port] listens on loopback and prints
// "issuer URL"; it ends with its standard input, so that it outlives no test. POST
// /rotate replaces its keys. A resource asks for a JWT by ?alg=; without, the access
// token is opaque.
import crypto from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

const key = (type, options, alg) => ({
  ...crypto.generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  use: 'sig', alg, kid: `${alg}-${crypto.randomUUID()}`,
});

const client = (id, grants, method = 'client_secret_basic') => ({
  client_id: id, client_secret: `${id}: secret/+&%`, token_endpoint_auth_method: method,
  grant_types: grants, redirect_uris: [], response_types: [],
});

function provider(issuer) {
  return new Provider(issuer, {
    clients: [client('machine', ['client_credentials']), client('gateway', []), client('poster', [], 'client_secret_post')],
    jwks: { keys: [
      key('rsa', { modulusLength: 2048 }, 'RS256'),
      key('ec', { namedCurve: 'P-256' }, 'ES256'),
      key('ed25519', {}, 'EdDSA'),
    ] },
    extraTokenClaims: () => ({ org_id: 'acme', roles: ['viewer'] }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(_, resource) {
          const alg = new URL(resource).searchParams.get('alg');
          return {
            scope: 'orders:read orders:write', audience: resource.split('?')[0], accessTokenTTL: 600,
            accessTokenFormat: alg ? 'jwt' : 'opaque', ...(alg && { jwt: { sign: { alg } } }),
          };
        },
      },
    },
  }).callback();
}

process.stdin.resume().on('end', () => process.exit());

let serve;
const server = http.createServer((request, response) => {
  if (request.url === '/rotate') {
    serve = provider(issuer());
    response.end();
  } else {
    serve(request, response);
  }
});
const issuer = () => `http://127.0.0.1:${server.address().port}`;
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  serve = provider(issuer());
  console.log(`issuer ${issuer()}`);
});
