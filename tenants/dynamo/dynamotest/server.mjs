// Serves DynamoDB's protocol from memory on a free loopback port, prints the port, and
// ends when its standard input does: with the process that started it, however that ends.
import dynalite from 'dynalite'

const server = dynalite({ createTableMs: 0, deleteTableMs: 0 })
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`))
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume()
