// Node: its net module, as its documentation has it.
import net from "node:net";

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("data", (data) => socket.write(data));
  socket.on("error", () => socket.destroy());
});
server.listen({ port: Number(process.argv[2] ?? 0), host: "127.0.0.1", backlog: 1024 }, () => {
  console.log(`listening ${server.address().port} ${process.version}`);
});
