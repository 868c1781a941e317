// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Recipients and tokens that the tests of BatchPayout need. They are worth nothing and are never deployed elsewhere.

interface IBatchPayout {
    function pay(bytes32 batchId, address[] calldata recipients, uint256[] calldata amounts) external payable;
    function payToken(bytes32 batchId, address token, address[] calldata recipients, uint256[] calldata amounts) external;
    function claim(address token, address to) external;
}

/// Refuses, with a reason, until it is told to accept.
contract Reverter {
    bool public accepts;

    function accept() external {
        accepts = true;
    }

    receive() external payable {
        require(accepts, "no");
    }
}

/// Burns all gas that it is given, and succeeds only with what no item has.
contract Burner {
    receive() external payable {
        while (gasleft() > 100) {}
        revert();
    }
}

/// Burns nearly all gas that it is given, and succeeds.
contract Sloth {
    receive() external payable {
        while (gasleft() > 200) {}
    }
}

/// Returns, or reverts with, as much as its gas pays for.
contract Bomber {
    bool immutable refuses;

    constructor(bool refuses_) {
        refuses = refuses_;
    }

    function bomb() private view {
        bool refuse = refuses;
        uint256 words = 1;
        // Memory costs 3 gas a word and a 512th of the square.
        while (words < 100_000 && 3 * (words * 2) + (words * 2) ** 2 / 512 + 5_000 < gasleft()) words *= 2;
        assembly {
            switch refuse
            case 0 { return(0, mul(words, 32)) }
            default { revert(0, mul(words, 32)) }
        }
    }

    receive() external payable {
        bomb();
    }
}

/// Accepts only with all the gas that an item has.
contract Needy {
    uint256 immutable need;

    constructor(uint256 need_) {
        need = need_;
    }

    receive() external payable {
        require(gasleft() > need, "more");
    }
}

/// Enters the contract that pays it again, in every way, with coins of its own.
contract Reentrant {
    IBatchPayout immutable payout;
    bool public insists; // fails when it is refused
    bytes32 public batchId;
    uint256 public refused = 1; // so that counting costs no new slot

    constructor(IBatchPayout payout_) payable {
        payout = payout_;
    }

    function aim(bytes32 batchId_, bool insists_) external {
        batchId = batchId_;
        insists = insists_;
    }

    receive() external payable {
        address[] memory to = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (to[0], amounts[0]) = (address(0xdead), 1);
        bool paid = tried(abi.encodeCall(IBatchPayout.pay, (batchId, to, amounts)), 1);
        bool moved = tried(abi.encodeCall(IBatchPayout.payToken, (batchId, address(this), to, amounts)), 0);
        bool claimed = tried(abi.encodeCall(IBatchPayout.claim, (address(0), address(this))), 0);
        if (!paid && !moved && !claimed) ++refused;
        require(!insists);
    }

    function tried(bytes memory data, uint256 value) private returns (bool ok) {
        (ok,) = address(payout).call{value: value}(data);
    }
}

/// Goes away with what it is paid.
contract Quitter {
    receive() external payable {
        assembly {
            selfdestruct(0xbeef)
        }
    }
}

/// A token that does with each recipient what it was told to. The ways stand in Go beside the tests.
contract Trickster {
    enum Way {
        Plain, // returns true
        Silent, // moves, returns nothing
        False, // returns false, moves nothing
        FalseMoves, // moves and returns false
        Refuses, // reverts: a black-listed recipient
        Fee, // the recipient gets a hundredth less
        Surcharge, // the sender pays a hundredth more
        Burns, // all gas
        Bombs, // returns as much as it can
        Two, // returns 2
        Short, // moves and returns one byte, a zero
        Reenters, // enters the payout contract again
        Lies, // returns true, moves nothing
        Needy // wants all the gas that an item has
    }

    IBatchPayout public payout;
    mapping(address => Way) public wayOf;
    bool public paused;
    uint256 public entries; // how often the payout contract could be entered again
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);

    constructor(IBatchPayout payout_, uint256 supply) {
        payout = payout_;
        balanceOf[msg.sender] = supply;
    }

    function tell(address to, Way way) external {
        wayOf[to] = way;
    }

    function pause(bool paused_) external {
        paused = paused_;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        return act(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        if (wayOf[to] == Way.Needy) require(gasleft() > 82_000, "more");
        require(allowance[from][msg.sender] >= value, "allowance");
        allowance[from][msg.sender] -= value;
        return act(from, to, value);
    }

    function act(address from, address to, uint256 value) private returns (bool) {
        require(!paused, "paused");
        Way way = wayOf[to];
        require(way != Way.Refuses, "black-listed");
        if (way == Way.Burns) while (true) {}
        if (way == Way.False) return false;
        if (way == Way.Lies) return true;
        if (way == Way.Reenters) again(to, value);
        uint256 out = way == Way.Surcharge ? value + value / 100 : value;
        require(balanceOf[from] >= out, "funds");
        balanceOf[from] -= out;
        balanceOf[to] += way == Way.Fee ? value - value / 100 : value;
        emit Transfer(from, to, value);
        return end(way);
    }

    function end(Way way) private view returns (bool) {
        if (way == Way.Bombs) {
            uint256 words = 1;
            while (words < 100_000 && 3 * (words * 2) + (words * 2) ** 2 / 512 + 5_000 < gasleft()) words *= 2;
            assembly {
                mstore(0, 1)
                return(0, mul(words, 32))
            }
        }
        assembly {
            switch way
            case 1 { return(0, 0) }
            case 3 {
                mstore(0, 0)
                return(0, 32)
            }
            case 9 {
                mstore(0, 2)
                return(0, 32)
            }
            case 10 {
                mstore(0, 0)
                return(0, 1)
            }
        }
        return true;
    }

    /// What a hook of a token could try: to have what is pulled in counted twice, and to claim before it is there.
    function again(address to, uint256 value) private {
        address[] memory recipients = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (recipients[0], amounts[0]) = (to, value);
        (bool paid,) = address(payout).call(abi.encodeCall(IBatchPayout.payToken, (bytes32(value), address(this), recipients, amounts)));
        (bool claimed,) = address(payout).call(abi.encodeCall(IBatchPayout.claim, (address(this), to)));
        if (paid || claimed) ++entries;
    }
}

/// A token that keeps a hundredth of everything.
contract FeeToken {
    mapping(address => uint256) public balanceOf;

    constructor(address holder, uint256 supply) {
        balanceOf[holder] = supply;
    }

    function allowance(address, address) external pure returns (uint256) {
        return 0;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value - value / 100;
        return true;
    }
}
