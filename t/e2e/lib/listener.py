"""A listening socket, with a thread for whoever comes."""
import socket
import ssl
import threading


def serve(world, server, serve_one):
    """Calls serve_one(peer) in a thread of its own for each peer, until the world ends."""
    def accept():
        while True:
            try:
                peer, _ = server.accept()
            except ssl.SSLError:                   # whoever it was speaks no TLS
                continue
            except OSError:
                return
            threading.Thread(target=serve_one, args=(peer,), daemon=True).start()

    def close():
        # A thread left in accept(2) goes on with the number of a descriptor that is closed. The kernel begins the call anew
        # after a stop, and then it takes the first peer of whatever socket has that number by now.
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        server.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    world.at_end(close)
