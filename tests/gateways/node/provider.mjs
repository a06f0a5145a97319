// A real OpenID provider (oidc-provider) on a free port; its development pages take any name as a log-in.
// It prints its port once it listens. Arguments: the redirect address of the client `islet`, whose secret is `s3cret`.
import Provider from "oidc-provider";
import { createServer } from "node:http";

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      {
        client_id: "islet",
        client_secret: "s3cret",
        redirect_uris: [process.argv[2]],
        grant_types: ["authorization_code"],
        response_types: ["code"],
      },
    ],
    pkce: { required: () => true },
    cookies: { keys: ["only for tests"] },
  });
  server.on("request", provider.callback());
  console.log(JSON.stringify(port));
});
