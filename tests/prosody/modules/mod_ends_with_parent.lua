-- Ends the server when the process that started it is gone.
--
-- The harness keeps the write end of standard input; when it dies, by whatever signal, the kernel closes it and
-- this module sees the end of the file. So no test run leaves a server behind. Imitates nothing.

module:set_global();

local server = require "net.server";

server.watchfd(0, function ()
	if not io.stdin:read(1) then os.exit(1); end
end);
